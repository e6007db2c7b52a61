"""Everything this program raises on purpose.

Two families. What a *caller* did wrong carries a stable `code` that the API turns into an RFC 9457 problem.
What the *network* did carries a policy: `TransportError` means try later, `NeedsPerson` means a person has to act,
`Refused` means never.
"""

from __future__ import annotations

from typing import ClassVar


class ZapwireError(Exception):
    """Base of all errors raised on purpose; *detail* is a sentence for a person, *field* the input at fault."""

    code: ClassVar[str] = "internal-error"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class InvalidInput(ZapwireError):
    """A field of the request has a value that can never work."""

    code = "invalid-input"


class NotFound(ZapwireError):
    """The thing named in the request does not exist."""

    code = "not-found"


class Conflict(ZapwireError):
    """The request makes sense, but not in the present state; the detail says what to do first."""

    code = "conflict"


class IdempotencyMismatch(ZapwireError):
    """An Idempotency-Key came again with another body."""

    code = "idempotency-mismatch"


class TooMany(ZapwireError):
    """A limit was reached; *retry_after* is in seconds where waiting helps."""

    code = "too-many-requests"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, field=field)
        self.retry_after = retry_after


class NotSupported(ZapwireError):
    """This bot's transport cannot do that."""

    code = "not-supported"


class SettingsError(ZapwireError):
    """The configuration cannot work; the program does not start."""

    code = "settings"


class StoreError(ZapwireError):
    """The database cannot be used; the detail says why and what to do."""

    code = "store"


class SandboxEnded(ZapwireError):
    """The sandbox of `serve --sandbox` ended by itself; the daemon stops."""

    code = "sandbox-ended"


class TransportError(ZapwireError):
    """The connection failed in a way that may pass: try again later."""

    code = "transport"


class NotConnected(TransportError):
    """Nothing was sent because there is no connection."""

    code = "not-connected"


class Refused(ZapwireError):
    """WhatsApp refused for good (number not on WhatsApp, message not allowed): never try again."""

    code = "refused"


class NeedsPerson(ZapwireError):
    """The transport cannot go on until a person does something.

    *action* is that something in plain words. The subclass says which state the bot is in from now on.
    """

    code = "needs-person"

    def __init__(self, detail: str, *, action: str) -> None:
        super().__init__(detail)
        self.action = action


class PairingTimedOut(NeedsPerson):
    """All pairing codes ran out without a scan."""

    code = "pairing-timed-out"


class LoggedOut(NeedsPerson):
    """The device was removed from the account; the auth state is worthless."""

    code = "logged-out"


class Blocked(NeedsPerson):
    """WhatsApp refuses this account or this program (ban, outdated client, replaced by another session)."""

    code = "blocked"
