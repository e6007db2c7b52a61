"""The handshake, both sides; the published test vector of the pattern; certificates."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waCert import WACert_pb2 as cert

from zapwire.sandbox.server.state.noise_identity import NoiseIdentity
from zapwire.wire.curve import KeyPair, verify
from zapwire.wire.frames import FrameError, FrameReader, OtherDictionary, frame
from zapwire.wire.noise import (
    HEADER,
    Cipher,
    Initiator,
    NoiseError,
    Responder,
    ResumedInitiator,
    ResumedResponder,
    ServerHello,
    SymmetricState,
)


def shake() -> tuple[tuple[Cipher, Cipher], tuple[Cipher, Cipher]]:
    client, server = Initiator(KeyPair.generate()), Responder(KeyPair.generate(), b"certificate")
    client.answer(server.hello(client.hello()))
    static, payload, *client_ciphers = client.finish(b"who I am")
    _, _, *server_ciphers = server.finish(static, payload)
    return tuple(client_ciphers), tuple(server_ciphers)


def test_both_sides_learn_each_other() -> None:
    mine, theirs = KeyPair.generate(), KeyPair.generate()
    client, server = Initiator(mine), Responder(theirs, b"certificate")
    assert client.answer(server.hello(client.hello())) == (theirs.public, b"certificate")
    static, payload, *_ = client.finish(b"who I am")
    assert server.finish(static, payload)[:2] == (mine.public, b"who I am")


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=20))
def test_messages_in_both_directions_keep_their_own_order(messages: list[tuple[bool, bytes]]) -> None:
    (client_read, client_write), (server_read, server_write) = shake()
    for to_server, message in messages:
        write, read = (client_write, server_read) if to_server else (server_write, client_read)
        assert read.open(write.seal(message)) == message


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("field", ["ephemeral", "static", "payload"])
def test_a_changed_server_hello_is_refused(field: str) -> None:
    client, server = Initiator(KeyPair.generate()), Responder(KeyPair.generate(), b"certificate")
    hello = server.hello(client.hello())
    parts = {name: getattr(hello, name) for name in ("ephemeral", "static", "payload")}
    parts[field] = flipped(parts[field], 5)
    with pytest.raises(NoiseError):
        client.answer(ServerHello(**parts))


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_client_finish_is_refused(which: int) -> None:
    client, server = Initiator(KeyPair.generate()), Responder(KeyPair.generate(), b"certificate")
    client.answer(server.hello(client.hello()))
    parts = list(client.finish(b"who I am")[:2])
    parts[which] = flipped(parts[which], 3)
    with pytest.raises(NoiseError):
        server.finish(*parts)


def test_a_client_that_knows_the_servers_key_resumes_in_one_round_trip() -> None:
    mine, theirs = KeyPair.generate(), KeyPair.generate()
    client, server = ResumedInitiator(mine, theirs.public), ResumedResponder(theirs, b"certificate")
    assert server.read(*client.hello(b"who I am")) == (mine.public, b"who I am")
    ephemeral, payload, server_read, server_write = server.answer()
    opened, client_read, client_write = client.finish(ephemeral, payload)
    assert opened == b"certificate"
    assert server_read.open(client_write.seal(b"up")) == b"up"
    assert client_read.open(server_write.seal(b"down")) == b"down"


def test_who_resumes_with_another_key_falls_back_to_a_full_handshake() -> None:
    mine, theirs = KeyPair.generate(), KeyPair.generate()
    attempt = ResumedInitiator(mine, KeyPair.generate().public)
    first = attempt.hello(b"who I am")
    with pytest.raises(NoiseError):
        ResumedResponder(theirs, b"").read(*first)
    client, server = Initiator(mine, attempt), Responder(theirs, b"certificate", fallback=True)
    assert client.answer(server.hello(client.hello())) == (theirs.public, b"certificate")
    static, payload, read, write = client.finish(b"who I am")
    client_static, opened, server_read, server_write = server.finish(static, payload)
    assert (client_static, opened) == (mine.public, b"who I am")
    assert server_read.open(write.seal(b"up")) == b"up"
    assert read.open(server_write.seal(b"down")) == b"down"


@pytest.mark.parametrize("field", [0, 1, 2])
def test_a_changed_first_message_of_a_resumption_is_refused(field: int) -> None:
    theirs = KeyPair.generate()
    parts = list(ResumedInitiator(KeyPair.generate(), theirs.public).hello(b"who I am"))
    parts[field] = flipped(parts[field], 3)
    with pytest.raises(NoiseError):
        ResumedResponder(theirs, b"").read(*parts)


def test_changed_repeated_and_swapped_messages_are_refused() -> None:
    (_, write), (read, _) = shake()
    first, second = write.seal(b"one"), write.seal(b"two")
    for wrong in (second, flipped(first, 0)):
        with pytest.raises(NoiseError):
            read.open(wrong)
    assert read.open(first) == b"one"
    with pytest.raises(NoiseError):
        read.open(first)


def test_a_bad_point_is_refused() -> None:
    with pytest.raises(NoiseError):
        Responder(KeyPair.generate(), b"").hello(bytes(32))


def test_another_prologue_is_refused() -> None:
    ours, theirs = SymmetricState(), SymmetricState(b"WA\x05\x02")
    with pytest.raises(NoiseError):
        theirs.decrypt(ours.encrypt(b"static key"))


VECTOR = {  # Noise_XX_25519_AESGCM_SHA256 with payloads and no prologue, as the framework's implementations share it
    "init_static": bytes(range(32)),
    "resp_static": bytes(range(1, 33)),
    "init_ephemeral": bytes(range(0x20, 0x40)),
    "resp_ephemeral": bytes(range(0x41, 0x61)),
}
SENT = [
    "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254746573745f6d73675f30",
    (
        "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484665393019dbd6f438795da206db0886610b26108e424142c2e"
        "9b5fd1f7ea70cde8c9f29dcec8d3ab554f4a5330657867fe4917917195c8cf360e08d6dc5f71baf875ec6e3bfc7afda4c9c2"
    ),
    (
        "e610eadc4b00c17708bf223f29a66f02342fbedf6c0044736544b9271821ae40232c55cd96d1350af861f6a04978f7d5e070c07602c6b84d"
        "25a331242a71c50ae31dd4c164267fd48bd2"
    ),
    "9ea1da1ec3bfecfffab213e537ed1791bfa887dd9c631351b3f63d6315ab9a",
    "217c5111fad7afde33bd28abaff3def88a57ab50515115d23a10f28621f842",
]


def test_the_published_vector_of_the_pattern() -> None:
    # Step by step, because WhatsApp leaves out the empty payload of the first message, which the framework mixes in.
    key = {name: KeyPair.from_private(private) for name, private in VECTOR.items()}
    sent = [bytes.fromhex(text) for text in SENT]
    states = SymmetricState(b""), SymmetricState(b"")
    for state in states:
        state.mix_hash(key["init_ephemeral"].public)
        state.mix_hash(b"test_msg_0")
        state.mix_hash(key["resp_ephemeral"].public)
        state.mix_key(key["resp_ephemeral"].agree(key["init_ephemeral"].public))
    client, server = states
    assert key["init_ephemeral"].public + b"test_msg_0" == sent[0]
    sealed_static = server.encrypt(key["resp_static"].public)
    server.mix_key(key["resp_static"].agree(key["init_ephemeral"].public))
    assert key["resp_ephemeral"].public + sealed_static + server.encrypt(b"test_msg_1") == sent[1]
    assert client.decrypt(sealed_static) == key["resp_static"].public
    client.mix_key(key["init_ephemeral"].agree(key["resp_static"].public))
    assert client.decrypt(sent[1][80:]) == b"test_msg_1"
    sealed_static = client.encrypt(key["init_static"].public)
    client.mix_key(key["init_static"].agree(key["resp_ephemeral"].public))
    assert sealed_static + client.encrypt(b"test_msg_2") == sent[2]
    assert server.decrypt(sealed_static) == key["init_static"].public
    server.mix_key(key["resp_ephemeral"].agree(key["init_static"].public))
    assert server.decrypt(sent[2][48:]) == b"test_msg_2"
    to_server, to_client = server.split()
    assert to_server.seal(b"yellowsubmarine") == sent[3]
    assert to_client.open(sent[4]) == b"submarineyellow"


def test_the_certificate_chain_leads_from_the_root_to_the_static_key() -> None:
    identity = NoiseIdentity.generate()
    chain = cert.CertChain.FromString(identity.chain())
    details = cert.CertChain.NoiseCertificate.Details
    middle, leaf = details.FromString(chain.intermediate.details), details.FromString(chain.leaf.details)
    assert verify(identity.root.public, chain.intermediate.details, chain.intermediate.signature)
    assert verify(middle.key, chain.leaf.details, chain.leaf.signature)
    assert (middle.issuerSerial, leaf.issuerSerial, leaf.key) == (0, middle.serial, identity.static.public)
    assert not verify(KeyPair.generate().public, chain.intermediate.details, chain.intermediate.signature)
    assert chain.intermediate.signature[-1] & 0x80 == 0


def test_an_identity_outlives_its_json() -> None:
    identity = NoiseIdentity.generate()
    assert NoiseIdentity.from_json(json.loads(json.dumps(identity.to_json()))) == identity


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 20), st.booleans())
def test_frames_come_whole_however_the_stream_is_cut(pieces: list[bytes], step: int, routed: bool) -> None:
    before = b"ED\x00\x01" + (5).to_bytes(3, "big") + b"route" if routed else b""
    stream = before + HEADER + b"".join(map(frame, pieces))
    reader = FrameReader()
    got = [piece for at in range(0, len(stream), step) for piece in reader.feed(stream[at : at + step])]
    assert got == pieces


def test_another_header_is_refused() -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(b"GET / HTTP/1.1"))


@pytest.mark.parametrize(("version", "advice"), [(2, "too old"), (4, "newer")])
def test_a_client_with_another_dictionary_is_told_apart(version: int, advice: str) -> None:
    with pytest.raises(OtherDictionary, match=f"version {version} .* not 3; it is {advice}"):
        list(FrameReader().feed(HEADER[:-1] + bytes([version])))


def test_a_frame_has_a_largest_size() -> None:
    with pytest.raises(FrameError):
        frame(bytes(1 << 24))
    assert frame(b"abc") == b"\x00\x00\x03abc"
