"""The Signal protocol: vectors, sessions in any order of messages, sender keys."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.sandbox.signal import errors, fields
from zapwire.sandbox.signal.chains import MAX_SKIPPED, Chain
from zapwire.sandbox.signal.ciphers import pad, unpad
from zapwire.sandbox.signal.framing import PreKeyMessage, SignalMessage
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.sandbox.signal.signal_session import MessageKeys
from zapwire.wire.kdf import CiphertextError, cbc_decrypt, cbc_encrypt, hkdf

BYTES = st.binary(max_size=80)


def pair_of_stores(*, prekey: bool = True) -> tuple[KeyStore, KeyStore]:
    """Two devices; "alice" has a session to "bob" that bob does not know of yet."""
    alice, bob = KeyStore.generate(), KeyStore.generate()
    numbers = bob.add_prekeys(1)
    alice.start_session("bob", bob.own_bundle(next(iter(numbers)) if prekey else None))
    return alice, bob


def established() -> tuple[KeyStore, KeyStore]:
    alice, bob = pair_of_stores()
    bob.decrypt("alice", *alice.encrypt("bob", b"hello"))
    alice.decrypt("bob", *bob.encrypt("alice", b"hello"))
    return alice, bob


def test_hkdf_rfc5869_vector():
    output = hkdf(b"\x0b" * 22, salt=bytes(range(13)), info=bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"), length=42)
    assert output.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def test_chain_key_vector_of_libsignal():
    chain = Chain(bytes.fromhex("8ab72d6f4cc5ac0d387eaf463378ddb28edd07385b1cb01250c715982e7ad48f"))
    keys = MessageKeys.of(chain.seed)
    assert keys.cipher.hex() == "bf51e9d75e0e31031051f82a2491ffc084fa298b7793bd9db620056febf45217"
    assert keys.mac.hex() == "c6c77d6a73a354337a56435e34607dfe48e3ace14e77314dc6abc172e7a7030b"
    assert chain.next.key.hex() == "28e8f8fee54b801eef7c5cfb2f17f32c7b334485bbb70fac6ec10342a246d15d"
    assert chain.next.index == 1


@pytest.mark.parametrize("prekey", [True, False])
def test_first_messages_are_prekey_messages_until_the_answer(prekey: bool):
    alice, bob = pair_of_stores(prekey=prekey)
    for text in (b"one", b"two"):
        kind, data = alice.encrypt("bob", text)
        assert kind == "pkmsg"
        assert bob.decrypt("alice", kind, data) == text
    assert len(bob.prekeys) == (0 if prekey else 1)
    kind, data = bob.encrypt("alice", b"three")
    assert kind == "msg"
    assert alice.decrypt("bob", kind, data) == b"three"
    assert alice.encrypt("bob", b"four")[0] == "msg"


@given(
    script=st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.booleans()), min_size=1, max_size=30),
)
def test_any_order_of_delivery_decrypts_every_message_exactly_once(script: list[tuple[bool, int, bool]]):
    """Each step: who sends, which waiting message is delivered next, and whether it is a duplicate as well."""
    stores = dict(zip(("alice", "bob"), established(), strict=True))
    waiting: list[tuple[str, str, bytes, str, bytes]] = []

    def deliver(position: int, *, again: bool) -> None:
        sender, receiver, text, kind, data = waiting.pop(position % len(waiting))
        assert stores[receiver].decrypt(sender, kind, data) == text
        if again:
            with pytest.raises(errors.DuplicateMessage):
                stores[receiver].decrypt(sender, kind, data)

    for number, (from_alice, position, again) in enumerate(script):
        sender, receiver = ("alice", "bob") if from_alice else ("bob", "alice")
        text = f"message {number}".encode()
        waiting.append((sender, receiver, text, *stores[sender].encrypt(receiver, text)))
        if position:
            deliver(position, again=again)
    while waiting:
        deliver(0, again=False)


def test_a_changed_message_is_refused_and_changes_nothing():
    alice, bob = established()
    kind, data = alice.encrypt("bob", b"text")
    before = bob.to_json()
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(errors.SignalError):
            bob.decrypt("alice", kind, changed)
    assert bob.to_json() == before
    assert bob.decrypt("alice", kind, data) == b"text"


def test_a_changed_first_message_uses_up_nothing():
    alice, bob = pair_of_stores()
    kind, data = alice.encrypt("bob", b"text")
    with pytest.raises(errors.DecryptFailed):
        bob.decrypt("alice", kind, data[:-20] + bytes(20))
    assert bob.prekeys
    assert not bob.sessions
    assert bob.decrypt("alice", kind, data) == b"text"


def test_a_first_message_to_unknown_prekeys_says_so():
    alice, bob = pair_of_stores()
    kind, data = alice.encrypt("bob", b"text")
    bob.prekeys.clear()
    with pytest.raises(errors.UnknownPreKey, match="used up"):
        bob.decrypt("alice", kind, data)
    message = PreKeyMessage.parse(data)
    other = PreKeyMessage(message.registration_id, None, 77, message.base_key, message.identity, message.message)
    with pytest.raises(errors.UnknownPreKey, match="77"):
        bob.decrypt("alice", kind, other.serialize())


def test_without_a_session_nothing_is_sent_or_read():
    store = KeyStore.generate()
    with pytest.raises(errors.NoSession):
        store.encrypt("nobody", b"")
    alice, _bob = established()
    with pytest.raises(errors.NoSession):
        store.decrypt("alice", *alice.encrypt("bob", b"text"))


def test_both_may_start_a_session_at_the_same_time():
    alice, bob = pair_of_stores()
    alice.add_prekeys(1)
    bob.start_session("alice", alice.own_bundle(1))
    from_alice, from_bob = alice.encrypt("bob", b"a"), bob.encrypt("alice", b"b")
    assert bob.decrypt("alice", *from_alice) == b"a"
    assert alice.decrypt("bob", *from_bob) == b"b"
    for _ in range(3):
        assert bob.decrypt("alice", *alice.encrypt("bob", b"c")) == b"c"
        assert alice.decrypt("bob", *bob.encrypt("alice", b"d")) == b"d"


def test_a_bundle_signed_by_somebody_else_is_refused():
    alice, bob = KeyStore.generate(), KeyStore.generate()
    bob.signed_prekey = KeyStore.generate().signed_prekey
    with pytest.raises(errors.DecryptFailed, match="signature"):
        alice.start_session("bob", bob.own_bundle())


def test_a_message_too_far_ahead_is_refused():
    alice, bob = established()
    for _ in range(MAX_SKIPPED + 1):
        alice.sessions["bob"].states[0].sending = alice.sessions["bob"].states[0].sending.next
    with pytest.raises(errors.DecryptFailed, match="too far"):
        bob.decrypt("alice", *alice.encrypt("bob", b"text"))


def test_the_keystore_survives_json():
    alice, bob = established()
    late = alice.encrypt("bob", b"late")
    bob.decrypt("alice", *alice.encrypt("bob", b"early"))
    bob.learn_sender_key("group", "alice", alice.own_sender_key("group").distribution)
    alice.own_sender_key("group").given_to.add("bob")
    bob.add_prekeys(2)
    alice, bob = (KeyStore.from_json(json.loads(json.dumps(store.to_json()))) for store in (alice, bob))
    assert bob.decrypt("alice", *late) == b"late"
    assert alice.decrypt("bob", *bob.encrypt("alice", b"answer")) == b"answer"
    assert bob.decrypt_group("group", "alice", alice.own_sender_key("group").encrypt(pad(b"all"))) == b"all"
    assert alice.own_sender_key("group").given_to == {"bob"}
    assert len(bob.prekeys) == 2


def test_a_sender_key_that_comes_again_does_not_hide_what_is_under_way():
    alice, bob = KeyStore.generate(), KeyStore.generate()
    key = alice.own_sender_key("group")
    bob.learn_sender_key("group", "alice", key.distribution)
    late = key.encrypt(pad(b"late"))
    bob.learn_sender_key("group", "alice", key.distribution)
    assert bob.decrypt_group("group", "alice", key.encrypt(pad(b"first"))) == b"first"
    assert bob.decrypt_group("group", "alice", late) == b"late"
    for _ in range(MAX_SKIPPED + 1):
        key.encrypt(b"missed")
    bob.learn_sender_key("group", "alice", key.distribution)
    assert bob.decrypt_group("group", "alice", key.encrypt(pad(b"far ahead"))) == b"far ahead"


def test_sender_keys_out_of_order_and_after_a_renewal():
    alice, bob = KeyStore.generate(), KeyStore.generate()
    key = alice.own_sender_key("group")
    key.encrypt(pad(b"before bob joined"))
    bob.learn_sender_key("group", "alice", key.distribution)
    messages = [key.encrypt(pad(str(number).encode())) for number in range(4)]
    for number in (2, 0, 3, 1):
        assert bob.decrypt_group("group", "alice", messages[number]) == str(number).encode()
    with pytest.raises(errors.DuplicateMessage):
        bob.decrypt_group("group", "alice", messages[2])
    alice.renew_sender_key("group")
    renewed = alice.own_sender_key("group")
    message = renewed.encrypt(pad(b"new"))
    with pytest.raises(errors.NoSenderKey):
        bob.decrypt_group("group", "alice", message)
    with pytest.raises(errors.NoSenderKey):
        bob.decrypt_group("group", "mallory", message)
    bob.learn_sender_key("group", "alice", renewed.distribution)
    with pytest.raises(errors.DuplicateMessage):  # the key counts from the next message on
        bob.decrypt_group("group", "alice", message)
    message = renewed.encrypt(pad(b"newer"))
    with pytest.raises(errors.DecryptFailed, match="signature"):
        bob.decrypt_group("group", "alice", message[:-1] + bytes([message[-1] ^ 1]))
    assert bob.decrypt_group("group", "alice", message) == b"newer"


@given(BYTES)
def test_padding_comes_off(text: bytes):
    assert unpad(pad(text)) == text


@pytest.mark.parametrize("padded", [b"", b"abc\x00", b"abc\x02", b"\x05\x05"])
def test_wrong_padding_is_noticed(padded: bytes):
    with pytest.raises(errors.DecryptFailed):
        unpad(padded)


@given(st.dictionaries(st.integers(1, 15), st.integers(0, 2**32) | BYTES))
def test_fields_round_trip(values: dict[int, int | bytes]):
    assert fields.decode(fields.encode(values)) == values


@given(BYTES)
def test_garbage_never_escapes_as_another_error(data: bytes):
    for parse in (fields.decode, SignalMessage.parse, PreKeyMessage.parse):
        try:
            parse(data)
        except errors.DecryptFailed:
            continue


@given(BYTES)
def test_cbc_round_trip(text: bytes):
    assert cbc_decrypt(b"k" * 32, b"i" * 16, cbc_encrypt(b"k" * 32, b"i" * 16, text)) == text
    with pytest.raises(CiphertextError):
        cbc_decrypt(b"k" * 32, b"i" * 16, b"short")
