"""Pairing by code, media files and app state: what the phone does beside Signal."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

import zapwire.neonize_protos  # noqa: F401

# isort: split
from neonize.proto.waServerSync.WAWebProtobufsServerSync_pb2 import SyncdPatch
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionData

from zapwire.sandbox.phones import media_crypto
from zapwire.sandbox.phones.app_state import AppStateKey
from zapwire.sandbox.signal.errors import DecryptFailed
from zapwire.wire.curve import KeyPair
from zapwire.wire.kdf import cbc_decrypt, hkdf
from zapwire.wire.link_code import CodePairing, WrongCode, normalize, unwrap, wrap

CODE = "ABCD1234"


class Companion:
    """The other half of code pairing, as whatsmeow's pair-code.go does it."""

    def __init__(self) -> None:
        self.identity, self.ephemeral = KeyPair.generate(), KeyPair.generate()
        self.wrapped = wrap(CODE, self.ephemeral.public)

    def finish(self, wrapped_primary: bytes, primary_identity: bytes) -> tuple[bytes, bytes]:
        """The wrapped key bundle and the secret."""
        shared = self.ephemeral.agree(unwrap(CODE, wrapped_primary))
        salt, nonce, random = b"s" * 32, b"n" * 12, b"r" * 32
        key = hkdf(shared, salt=salt, info=b"link_code_pairing_key_bundle_encryption_key", length=32)
        bundle = AESGCM(key).encrypt(nonce, self.identity.public + primary_identity + random, None)
        secret = hkdf(shared + self.identity.agree(primary_identity) + random, info=b"adv_secret", length=32)
        return salt + nonce + bundle, secret


def test_the_right_code_gives_both_sides_the_same_secret():
    companion, identity = Companion(), KeyPair.generate()
    pairing = CodePairing.begin(identity, "abcd-1234", companion.wrapped)
    bundle, secret = companion.finish(pairing.wrapped_ephemeral, identity.public)
    assert pairing.finish(bundle, companion.identity.public) == secret


def test_a_wrong_code_shows_at_the_end():
    companion, identity = Companion(), KeyPair.generate()
    pairing = CodePairing.begin(identity, "ABCD-1235", companion.wrapped)
    bundle, _ = companion.finish(pairing.wrapped_ephemeral, identity.public)
    with pytest.raises(WrongCode):
        pairing.finish(bundle, companion.identity.public)


def test_another_identity_is_refused():
    companion, identity = Companion(), KeyPair.generate()
    pairing = CodePairing.begin(identity, CODE, companion.wrapped)
    bundle, _ = companion.finish(pairing.wrapped_ephemeral, identity.public)
    with pytest.raises(WrongCode, match="another identity"):
        pairing.finish(bundle, KeyPair.generate().public)


@pytest.mark.parametrize("code", ["", "ABC", "ABCD-12345", "ABCD-123O", "ABCD-123ü"])
def test_what_cannot_be_a_code_is_refused(code: str):
    with pytest.raises(WrongCode, match="eight"):
        normalize(code)


@given(st.binary(max_size=2000), st.sampled_from(sorted(media_crypto.LABELS)))
def test_media_round_trip_and_tampering(plain: bytes, kind: str):
    encrypted = media_crypto.encrypt(kind, plain)
    assert hashlib.sha256(encrypted.data).digest() == encrypted.encrypted_sha256
    assert media_crypto.decrypt(kind, encrypted.data, encrypted.key, encrypted.sha256) == plain
    for changed in (encrypted.data[:-1] + bytes([encrypted.data[-1] ^ 1]), b"", b"x" * 9):
        with pytest.raises(DecryptFailed):
            media_crypto.decrypt(kind, changed, encrypted.key)
    with pytest.raises(DecryptFailed, match="hash"):
        media_crypto.decrypt(kind, encrypted.data, encrypted.key, b"0" * 32)


def test_the_push_name_patch_is_what_a_companion_verifies():
    """The checks of whatsmeow's appstate/decode.go, in its order."""
    key = AppStateKey()
    shared = key.share().protocolMessage.appStateSyncKeyShare.keys[0]
    assert (shared.keyID.keyID, shared.keyData.keyData) == (key.key_id, key.secret)
    patch = SyncdPatch.FromString(key.push_name_patch("Ana"))
    index_key, value_key, value_mac_key, snapshot_key, patch_key = (
        hkdf(key.secret, info=b"WhatsApp Mutation Keys", length=160)[n : n + 32] for n in range(0, 160, 32)
    )
    record = patch.mutations[0].record
    content, value_mac = record.value.blob[:-32], record.value.blob[-32:]
    mac = hmac.new(value_mac_key, b"\x01" + key.key_id + content + (7).to_bytes(8, "big"), "sha512").digest()
    assert mac[:32] == value_mac
    data = SyncActionData.FromString(cbc_decrypt(value_key, content[:16], content[16:]))
    assert data.value.pushNameSetting.name == "Ana"
    assert data.index == b'["setting_pushName"]'
    assert hmac.digest(index_key, data.index, "sha256") == record.index.blob
    state = hkdf(value_mac, info=b"WhatsApp Patch Integrity", length=128)
    end = (1).to_bytes(8, "big") + b"critical_block"
    assert patch.snapshotMAC == hmac.digest(snapshot_key, state + end, "sha256")
    assert patch.patchMAC == hmac.digest(patch_key, patch.snapshotMAC + value_mac + end, "sha256")
