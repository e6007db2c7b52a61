"""Sender keys: one key per member and group, so that a group message is encrypted once.

Protocol source: libsignal (GroupCipher, SenderMessageKey).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from zapwire.sandbox.signal.chains import MAX_SKIPPED, Chain, ReceivingChain
from zapwire.sandbox.signal.ciphers import decrypt
from zapwire.sandbox.signal.errors import NoSenderKey
from zapwire.sandbox.signal.framing import SenderKeyDistribution, SenderKeyMessage
from zapwire.wire.curve import KeyPair
from zapwire.wire.kdf import cbc_encrypt, hkdf

MAX_STATES = 5


def _cipher(seed: bytes) -> tuple[bytes, bytes]:
    """The AES key and the IV of one message."""
    material = hkdf(seed, info=b"WhisperGroup", length=48)
    return material[16:], material[:16]


@dataclass(slots=True)
class OwnSenderKey:
    """The key of our messages to one group, and which devices have it."""

    key_id: int
    chain: Chain
    signing: KeyPair
    given_to: set[str] = field(default_factory=set)

    @classmethod
    def generate(cls) -> OwnSenderKey:
        """A fresh random key that nobody has yet."""
        return cls(secrets.randbits(31), Chain(secrets.token_bytes(32)), KeyPair.generate())

    @property
    def distribution(self) -> bytes:
        """What a member needs to read from the next message on."""
        return SenderKeyDistribution(self.key_id, self.chain.index, self.chain.key, self.signing.public).serialize()

    def encrypt(self, plaintext: bytes) -> bytes:
        """One group message."""
        key, iv = _cipher(self.chain.seed)
        message = SenderKeyMessage(self.key_id, self.chain.index, cbc_encrypt(key, iv, plaintext))
        self.chain = self.chain.next
        return message.sign(self.signing)


@dataclass(slots=True)
class TheirSenderKey:
    """One key of another member."""

    key_id: int
    signing_public: bytes
    receiving: ReceivingChain

    def leads_to(self, other: SenderKeyDistribution) -> bool:
        """Is *other* this key, at the same position or at a later one that can be reached from here?"""
        if (self.key_id, self.signing_public) != (other.key_id, other.signing_public):
            return False
        return 0 <= other.iteration - self.receiving.chain.index <= MAX_SKIPPED


@dataclass(slots=True)
class TheirSenderKeys:
    """The keys of another member's device in one group, the newest first."""

    keys: list[TheirSenderKey] = field(default_factory=list)

    def learn(self, distribution: bytes) -> None:
        """Take a key that came in a direct message; raises DecryptFailed when it is malformed."""
        new = SenderKeyDistribution.parse(distribution)
        if any(key.leads_to(new) for key in self.keys):
            return  # sent again: the key we follow still reads what is under way, a later position would not
        chain = ReceivingChain(Chain(new.chain_key, new.iteration))
        self.keys.insert(0, TheirSenderKey(new.key_id, new.signing_public, chain))
        del self.keys[MAX_STATES:]

    def decrypt(self, data: bytes) -> bytes:
        """Raises NoSenderKey, DecryptFailed or DuplicateMessage."""
        message = SenderKeyMessage.parse(data)
        key = next((key for key in self.keys if key.key_id == message.key_id), None)
        if key is None:
            reason = "the member's key for this group is not known"
            raise NoSenderKey(reason)
        message.check(key.signing_public)
        found = key.receiving.find(message.iteration)
        plaintext = decrypt(*_cipher(found.seed), message.ciphertext)
        key.receiving.take(found)
        return plaintext
