"""Signal's messages as bytes: version byte, protobuf, MAC or signature.

Protocol source: libsignal's WhisperTextProtocol.proto, message version 3.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from zapwire.sandbox.signal import fields
from zapwire.sandbox.signal.errors import DecryptFailed
from zapwire.wire.curve import KeyPair, from_wire, to_wire, verify
from zapwire.wire.kdf import hmac_sha256

VERSION = b"\x33"
"""Message version 3 of a protocol whose current version is 3."""

MAC_SIZE = 8
SIGNATURE_SIZE = 64


@dataclass(frozen=True, slots=True)
class SignalMessage:
    """One message of a running session (`msg`)."""

    ratchet_key: bytes
    counter: int
    previous_counter: int
    ciphertext: bytes
    body: bytes = b""
    mac: bytes = b""

    def seal(self, mac_key: bytes, sender_identity: bytes, receiver_identity: bytes) -> bytes:
        """Serialize with the MAC that binds both identities."""
        body = VERSION + fields.encode(
            {1: to_wire(self.ratchet_key), 2: self.counter, 3: self.previous_counter, 4: self.ciphertext}
        )
        return body + _mac(mac_key, sender_identity, receiver_identity, body)

    @classmethod
    def parse(cls, data: bytes) -> SignalMessage:
        """Read without checking the MAC; raises DecryptFailed."""
        body, mac = data[:-MAC_SIZE], data[-MAC_SIZE:]
        read = _Reader(body)
        return cls(read.key(1), read.number(2), read.number(3, 0), read.data(4), body, mac)

    def check(self, mac_key: bytes, sender_identity: bytes, receiver_identity: bytes) -> None:
        """Raises DecryptFailed unless the MAC is right."""
        if not hmac.compare_digest(self.mac, _mac(mac_key, sender_identity, receiver_identity, self.body)):
            message = "the message's MAC is wrong"
            raise DecryptFailed(message)


def _mac(mac_key: bytes, sender_identity: bytes, receiver_identity: bytes, body: bytes) -> bytes:
    return hmac_sha256(mac_key, to_wire(sender_identity) + to_wire(receiver_identity) + body)[:MAC_SIZE]


@dataclass(frozen=True, slots=True)
class PreKeyMessage:
    """The first messages of a session (`pkmsg`): they carry what the receiver needs to set it up."""

    registration_id: int
    prekey_id: int | None
    signed_prekey_id: int
    base_key: bytes
    identity: bytes
    message: bytes

    def serialize(self) -> bytes:
        """Serialize; the message inside has its own MAC."""
        return VERSION + fields.encode(
            {
                1: self.prekey_id,
                2: to_wire(self.base_key),
                3: to_wire(self.identity),
                4: self.message,
                5: self.registration_id,
                6: self.signed_prekey_id,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> PreKeyMessage:
        """Raises DecryptFailed on anything malformed."""
        read = _Reader(data)
        return cls(
            registration_id=read.number(5, 0),
            prekey_id=read.number(1, 0) or None,
            signed_prekey_id=read.number(6),
            base_key=read.key(2),
            identity=read.key(3),
            message=read.data(4),
        )


@dataclass(frozen=True, slots=True)
class SenderKeyMessage:
    """One message to a group (`skmsg`), signed by its sender."""

    key_id: int
    iteration: int
    ciphertext: bytes
    body: bytes = b""
    signature: bytes = b""

    def sign(self, signing_key: KeyPair) -> bytes:
        """Serialize and sign."""
        body = VERSION + fields.encode({1: self.key_id, 2: self.iteration, 3: self.ciphertext})
        return body + signing_key.sign(body)

    @classmethod
    def parse(cls, data: bytes) -> SenderKeyMessage:
        """Read without checking the signature; raises DecryptFailed."""
        body, signature = data[:-SIGNATURE_SIZE], data[-SIGNATURE_SIZE:]
        read = _Reader(body)
        return cls(read.number(1, 0), read.number(2, 0), read.data(3), body, signature)

    def check(self, signing_public: bytes) -> None:
        """Raises DecryptFailed unless the signature is right."""
        if not verify(signing_public, self.body, self.signature):
            message = "the group message's signature is wrong"
            raise DecryptFailed(message)


@dataclass(frozen=True, slots=True)
class SenderKeyDistribution:
    """The key of somebody's messages to a group, sent to each member's devices one by one."""

    key_id: int
    iteration: int
    chain_key: bytes
    signing_public: bytes

    def serialize(self) -> bytes:
        """Serialize."""
        return VERSION + fields.encode(
            {1: self.key_id, 2: self.iteration, 3: self.chain_key, 4: to_wire(self.signing_public)}
        )

    @classmethod
    def parse(cls, data: bytes) -> SenderKeyDistribution:
        """Raises DecryptFailed on anything malformed."""
        read = _Reader(data)
        return cls(read.number(1, 0), read.number(2, 0), read.data(3), read.key(4))


class _Reader:
    """Typed access to the fields after a version byte."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 1 or data[0] >> 4 != VERSION[0] >> 4:
            message = "not a Signal message of version 3"
            raise DecryptFailed(message)
        self._fields = fields.decode(data[1:])

    def number(self, number: int, default: int | None = None) -> int:
        value = self._fields.get(number, default)
        if not isinstance(value, int):
            raise self._missing(number)
        return value

    def data(self, number: int) -> bytes:
        value = self._fields.get(number)
        if not isinstance(value, bytes):
            raise self._missing(number)
        return value

    def key(self, number: int) -> bytes:
        try:
            return from_wire(self.data(number))
        except ValueError as error:
            raise self._missing(number) from error

    @staticmethod
    def _missing(number: int) -> DecryptFailed:
        return DecryptFailed(f"field {number} of a Signal message is missing or malformed")
