"""Why a message could not be encrypted or decrypted."""

from __future__ import annotations


class SignalError(Exception):
    """Base: the message, key or session cannot be used."""


class DecryptFailed(SignalError):
    """The message does not fit the keys we have: wrong MAC, signature, version or padding."""


class NoSession(SignalError):
    """There is no session with that device, so a prekey bundle or a prekey message is needed first."""


class DuplicateMessage(SignalError):
    """The message was decrypted before; its key is gone."""


class NoSenderKey(SignalError):
    """That member never gave us the key of its group messages."""


class UnknownPreKey(SignalError):
    """A prekey message names a one-time or signed prekey that we do not hold (any more)."""
