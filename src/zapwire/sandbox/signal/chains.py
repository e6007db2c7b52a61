"""Symmetric ratchets: every message has a key of its own, and old keys cannot be computed from new ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from zapwire.sandbox.signal.errors import DecryptFailed, DuplicateMessage
from zapwire.wire.kdf import hmac_sha256

MAX_SKIPPED = 2000
"""How many messages may be missing before the next one; also how many skipped keys are kept. As in libsignal."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One position in a chain of keys."""

    key: bytes
    index: int = 0

    @property
    def seed(self) -> bytes:
        """What this position's message keys are made from."""
        return hmac_sha256(self.key, b"\x01")

    @property
    def next(self) -> Chain:
        """The following position."""
        return Chain(hmac_sha256(self.key, b"\x02"), self.index + 1)


@dataclass(slots=True)
class ReceivingChain:
    """Somebody's chain as we follow it, with the seeds of messages that have not come yet."""

    chain: Chain
    skipped: dict[int, bytes] = field(default_factory=dict)

    def find(self, index: int) -> Found:
        """The seed for a message; nothing changes until `take` is called with the result.

        Raises DuplicateMessage for a key that is gone and DecryptFailed for a message too far ahead.
        """
        if index < self.chain.index:
            if index not in self.skipped:
                message = f"message {index} was decrypted before (the next one is {self.chain.index})"
                raise DuplicateMessage(message)
            return Found(index, self.skipped[index], self.chain, {})
        if index - self.chain.index > MAX_SKIPPED:
            message = f"message {index} is too far ahead of {self.chain.index}"
            raise DecryptFailed(message)
        chain, skipped = self.chain, {}
        while chain.index < index:
            skipped[chain.index] = chain.seed
            chain = chain.next
        return Found(index, chain.seed, chain.next, skipped)

    def take(self, found: Found) -> None:
        """Move on after the message was authentic."""
        self.skipped.pop(found.index, None)
        self.skipped.update(found.skipped)
        self.chain = found.chain
        while len(self.skipped) > MAX_SKIPPED:
            del self.skipped[next(iter(self.skipped))]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of looking for a message's key, and where the chain stands after it."""

    index: int
    seed: bytes
    chain: Chain
    skipped: dict[int, bytes]
