"""Setting up a session from prekeys (X3DH).

Protocol source: libsignal (Ratchet.go, Session.go).
"""

from __future__ import annotations

from dataclasses import dataclass

from zapwire.sandbox.signal.chains import Chain, ReceivingChain
from zapwire.sandbox.signal.errors import DecryptFailed
from zapwire.sandbox.signal.framing import PreKeyMessage
from zapwire.sandbox.signal.signal_session import SessionState, Unconfirmed, next_root
from zapwire.wire.curve import KeyPair, to_wire, verify
from zapwire.wire.kdf import hkdf

_DISCONTINUITY = b"\xff" * 32


@dataclass(frozen=True, slots=True)
class PreKeyBundle:
    """A device's public keys as the server hands them out."""

    registration_id: int
    identity: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    signature: bytes
    prekey_id: int | None = None
    prekey: bytes | None = None


def initiate(identity: KeyPair, registration_id: int, bundle: PreKeyBundle) -> SessionState:
    """Our side of a new session with the device that published *bundle*; raises DecryptFailed on a bad bundle."""
    if not verify(bundle.identity, to_wire(bundle.signed_prekey), bundle.signature):
        message = "the signature of the device's signed prekey is wrong"
        raise DecryptFailed(message)
    base = KeyPair.generate()
    try:
        secrets = [
            identity.agree(bundle.signed_prekey),
            base.agree(bundle.identity),
            base.agree(bundle.signed_prekey),
            base.agree(bundle.prekey) if bundle.prekey else b"",
        ]
    except ValueError as error:
        raise DecryptFailed(str(error)) from error
    root, chain = _derive(secrets)
    ratchet = KeyPair.generate()
    root, sending = next_root(root, ratchet.agree(bundle.signed_prekey))
    return SessionState(
        own_identity=identity.public,
        their_identity=bundle.identity,
        base_key=base.public,
        root=root,
        own_ratchet=ratchet,
        sending=sending,
        receivers={bundle.signed_prekey: ReceivingChain(chain)},
        unconfirmed=Unconfirmed(bundle.prekey_id, bundle.signed_prekey_id, registration_id),
    )


def respond(identity: KeyPair, signed_prekey: KeyPair, prekey: KeyPair | None, message: PreKeyMessage) -> SessionState:
    """Our side of the session that *message* opens; raises DecryptFailed on unusable keys."""
    try:
        secrets = [
            signed_prekey.agree(message.identity),
            identity.agree(message.base_key),
            signed_prekey.agree(message.base_key),
            prekey.agree(message.base_key) if prekey else b"",
        ]
    except ValueError as error:
        raise DecryptFailed(str(error)) from error
    root, chain = _derive(secrets)
    return SessionState(
        own_identity=identity.public,
        their_identity=message.identity,
        base_key=message.base_key,
        root=root,
        own_ratchet=signed_prekey,
        sending=chain,
    )


def _derive(secrets: list[bytes]) -> tuple[bytes, Chain]:
    material = hkdf(_DISCONTINUITY + b"".join(secrets), info=b"WhisperText", length=64)
    return material[:32], Chain(material[32:])
