"""Everything one device keeps secret: identity, prekeys, sessions, sender keys. In memory, and as JSON."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from zapwire.sandbox.signal import x3dh
from zapwire.sandbox.signal.ciphers import pad, unpad
from zapwire.sandbox.signal.errors import NoSenderKey, NoSession, UnknownPreKey
from zapwire.sandbox.signal.framing import PreKeyMessage, SignalMessage
from zapwire.sandbox.signal.sender_keys import OwnSenderKey, TheirSenderKeys
from zapwire.sandbox.signal.signal_session import Session
from zapwire.wire.curve import KeyPair, to_wire

MAX_PREKEY_ID = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class SignedPreKey:
    """The prekey that outlives its use."""

    number: int
    pair: KeyPair
    signature: bytes


@dataclass(slots=True)
class KeyStore:
    """One device's keys. Other devices are named by an address: any text that is unique per device."""

    identity: KeyPair
    registration_id: int
    signed_prekey: SignedPreKey
    prekeys: dict[int, KeyPair] = field(default_factory=dict)
    next_prekey: int = 1
    sessions: dict[str, Session] = field(default_factory=dict)
    own_sender_keys: dict[str, OwnSenderKey] = field(default_factory=dict)
    their_sender_keys: dict[str, dict[str, TheirSenderKeys]] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    """Devices with which a new session has to be started before anything is sent to them."""

    @classmethod
    def generate(cls) -> KeyStore:
        """Fresh random keys, no one-time prekeys yet."""
        identity, signed = KeyPair.generate(), KeyPair.generate()
        signature = identity.sign(to_wire(signed.public))
        return cls(identity, secrets.randbelow(0x3FFF) + 1, SignedPreKey(1, signed, signature))

    def add_prekeys(self, count: int) -> dict[int, KeyPair]:
        """Make one-time prekeys for the server to hand out; returns the new ones by number."""
        new = {}
        for _ in range(count):
            new[self.next_prekey] = KeyPair.generate()
            self.next_prekey = self.next_prekey % MAX_PREKEY_ID + 1
        self.prekeys.update(new)
        return new

    def own_bundle(self, prekey_id: int | None = None) -> x3dh.PreKeyBundle:
        """Our public keys, for a device that should start a session with us."""
        signed = self.signed_prekey
        prekey = self.prekeys[prekey_id].public if prekey_id is not None else None
        return x3dh.PreKeyBundle(
            self.registration_id,
            self.identity.public,
            signed.number,
            signed.pair.public,
            signed.signature,
            prekey_id,
            prekey,
        )

    def has_session(self, address: str) -> bool:
        """Whether messages to that device can be encrypted."""
        return address in self.sessions and address not in self.stale

    def distrust_positions(self) -> None:
        """These keys were saved before the last messages were sent: never use a position of a sending chain twice.

        A message under a key that the receiver has used up would be taken for a duplicate and dropped in silence.
        """
        self.stale = set(self.sessions)
        self.own_sender_keys.clear()

    def start_session(self, address: str, bundle: x3dh.PreKeyBundle) -> None:
        """Begin a session with a device's prekey bundle; raises DecryptFailed when its signature is wrong."""
        state = x3dh.initiate(self.identity, self.registration_id, bundle)
        self.sessions.setdefault(address, Session()).start(state)
        self.stale.discard(address)

    def encrypt(self, address: str, plaintext: bytes) -> tuple[str, bytes]:
        """Pad and encrypt for one device: the `enc` type and the ciphertext; raises NoSession."""
        return self._session(address).encrypt(pad(plaintext))

    def decrypt(self, address: str, kind: str, data: bytes) -> bytes:
        """Decrypt a `msg` or `pkmsg` and take its padding off; raises SignalError."""
        if kind == "pkmsg":
            return unpad(self._decrypt_first(address, PreKeyMessage.parse(data)))
        return unpad(self._session(address).decrypt(SignalMessage.parse(data)))

    def _session(self, address: str) -> Session:
        session = self.sessions.get(address)
        if session is None:
            message = "there is no session with that device"
            raise NoSession(message)
        return session

    def _decrypt_first(self, address: str, message: PreKeyMessage) -> bytes:
        inner = SignalMessage.parse(message.message)
        session = self.sessions.get(address, Session())
        if session.has(message.base_key):
            return session.decrypt(inner)
        if message.signed_prekey_id != self.signed_prekey.number:
            reason = f"the message uses signed prekey {message.signed_prekey_id}, which is not ours"
            raise UnknownPreKey(reason)
        prekey = self.prekeys.get(message.prekey_id) if message.prekey_id is not None else None
        if message.prekey_id is not None and prekey is None:
            reason = f"the message uses one-time prekey {message.prekey_id}, which is used up"
            raise UnknownPreKey(reason)
        state = x3dh.respond(self.identity, self.signed_prekey.pair, prekey, message)
        plaintext = state.decrypt(inner)
        # Only an authentic message may use up a prekey and replace the session.
        if message.prekey_id is not None:
            del self.prekeys[message.prekey_id]
        session.start(state)
        self.sessions[address] = session
        return plaintext

    def own_sender_key(self, group: str) -> OwnSenderKey:
        """The key of our messages to *group*, made when there is none."""
        if group not in self.own_sender_keys:
            self.own_sender_keys[group] = OwnSenderKey.generate()
        return self.own_sender_keys[group]

    def renew_sender_key(self, group: str) -> None:
        """Forget our key for *group*, because a member left who has it."""
        self.own_sender_keys.pop(group, None)

    def learn_sender_key(self, group: str, address: str, distribution: bytes) -> None:
        """Take a member's key for *group*; raises DecryptFailed when it is malformed."""
        self.their_sender_keys.setdefault(group, {}).setdefault(address, TheirSenderKeys()).learn(distribution)

    def decrypt_group(self, group: str, address: str, data: bytes) -> bytes:
        """Decrypt a `skmsg` of a member's device and take its padding off; raises SignalError."""
        keys = self.their_sender_keys.get(group, {}).get(address)
        if keys is None:
            message = "the member's key for this group is not known"
            raise NoSenderKey(message)
        return unpad(keys.decrypt(data))

    def to_json(self) -> dict[str, Any]:
        """All of it, private keys included, as values that JSON knows."""
        return _Saved(keys=self).model_dump(mode="json")["keys"]  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> KeyStore:
        """Read what `to_json` made; raises pydantic.ValidationError."""
        return _Saved.model_validate_json(json.dumps({"keys": data})).keys


class _Saved(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    keys: KeyStore
