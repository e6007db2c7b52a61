"""Everything this program raises on purpose.

Two families. What a *caller* did wrong carries a stable `code` that the API turns into an RFC 9457 problem.
What the *network* did carries a policy: `TransportError` means try later, `NeedsPerson` means a person has to act,
`Refused` means never.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class Condition(StrEnum):
    """What is the matter with a bot, for programs: the `code` beside the words of its state. Stable names."""

    LOST = "lost"
    """The connection broke and is being mended."""
    UNREACHABLE = "unreachable"
    """There is no way to WhatsApp: no network, no name lookup, a proxy that does not let through."""
    BUSY = "busy"
    """WhatsApp turns connections away for the moment (429, 5xx)."""
    SILENT = "silent"
    """The connection stands, but WhatsApp answers nothing on it."""
    TROUBLE = "trouble"
    """Something else failed that may pass."""
    STORE = "store"
    """A database of the bot cannot be used for the moment: full disk, no descriptors left, read-only."""
    RECEIPTS = "receipts"
    """It is connected, and takes no receipts for a while, as somebody sends some that end the connection."""
    INTERNAL = "internal"
    """An internal error; the log says more."""
    BANNED = "banned"
    """WhatsApp banned the account; `next_attempt_at` says until when, if WhatsApp does."""
    TRANSPORT_MISSING = "transport-missing"
    """This installation has no transport of the bot's kind."""
    REPLACED = "replaced"
    """Another program connected with this bot's session."""
    OUTDATED = "outdated"
    """WhatsApp no longer accepts this version of the client (405)."""
    LOCKED = "locked"
    """WhatsApp locked the account (403, 463 at the login)."""
    PASSKEY = "passkey"
    """WhatsApp wants a passkey for the pairing, and only the engine may pair, which cannot give it."""
    CODES_DIFFER = "codes-differ"
    """The phone showed another verification code: somebody was in between, and nothing was linked."""
    AUTH_DAMAGED = "auth-damaged"
    """The bot's auth database is damaged, or sealed with another key."""
    AUTH_MISSING = "auth-missing"
    """The bot's auth database is not there."""
    AUTH_FOREIGN = "auth-foreign"
    """What lies where the bot's auth database should be is that of another bot."""
    ROW_DAMAGED = "row-damaged"
    """The bot's row in the daemon's database is damaged."""
    LOGGED_OUT = "logged-out"
    """The device was removed from the account."""
    LOGGING_OUT = "logging-out"
    """Logged out on request, and WhatsApp could not be notified yet."""
    REFUSED = "refused"
    """WhatsApp refused the login for another reason."""
    PAIRING_TIMED_OUT = "pairing-timed-out"
    """Nobody scanned."""
    MOVED = "moved"
    """It was exported to another installation, and does not start here any more."""
    IMPORTING = "importing"
    """Its import was begun and is not finished."""


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


class InProgress(Conflict):
    """The same request is being worked on; *retry_after* seconds."""

    code = "in-progress"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, field=field)
        self.retry_after = retry_after


class TooLate(Conflict):
    """WhatsApp would not do it any more."""

    code = "too-late"


class AuthStateFound(Conflict):
    """Something is kept for a bot that is to be created: the caller has to say what becomes of it."""

    code = "auth-state-found"


class NotUnlinked(Conflict):
    """The bot is still a device of its account, because WhatsApp cannot be notified now."""

    code = "not-unlinked"


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


class MediaExpired(ZapwireError):
    """The file of a message is not to be had any more: whoever sent it would have to send it again."""

    code = "media-expired"


class MediaDamaged(ZapwireError):
    """The file of a message is not what the message says: changed, cut off, or with another key."""

    code = "media-damaged"


class MediaTooLarge(ZapwireError):
    """A file is larger than may be sent or received."""

    code = "media-too-large"


class NoSpace(ZapwireError):
    """The disk is full, or the room for files is used up."""

    code = "no-space"


class SettingsError(ZapwireError):
    """The configuration cannot work; the program does not start."""

    code = "settings"


class StoreError(ZapwireError):
    """The database cannot be used; the detail says why and what to do."""

    code = "store"


class Unstorable(StoreError):
    """The database is fine, but refuses these values, and will refuse them again: an internal error."""


class Fenced(ZapwireError):
    """Another process has taken the bot over; what this one wanted to write for it was refused, and has to be."""

    code = "fenced"


class SandboxEnded(ZapwireError):
    """The sandbox of `serve --sandbox` ended by itself; the daemon stops."""

    code = "sandbox-ended"


class TransportError(ZapwireError):
    """The connection failed in a way that may pass: try again later."""

    code = "transport"

    def __init__(self, detail: str, *, field: str | None = None, condition: Condition = Condition.TROUBLE) -> None:
        super().__init__(detail, field=field)
        self.condition = condition


class NotConnected(TransportError):
    """Nothing was sent because there is no connection."""

    code = "not-connected"


class Interrupted(TransportError):
    """The connection has to be made again, through no fault of the network, the account or the server: at once, and
    without counting as a failure.
    """


class Restricted(TransportError):
    """WhatsApp took a message back with a limit on the whole account; nothing was sent.

    With *strangers* only first messages to new chats are concerned (463), otherwise all messages (429).
    """

    def __init__(self, detail: str, *, error: int, strangers: bool) -> None:
        super().__init__(detail)
        self.error = error
        self.strangers = strangers


class Refused(ZapwireError):
    """WhatsApp refused for good (number not on WhatsApp, message not allowed): never try again."""

    code = "refused"


class PasskeyRefused(ZapwireError):
    """WhatsApp does not accept the answer of the passkey; the pairing goes on with a new challenge."""

    code = "passkey-refused"


class NeedsPerson(ZapwireError):
    """The transport cannot go on until a person does something.

    *action* is that something in plain words. The subclass says which state the bot is in from now on. From *until* on
    the bot may try again by itself.
    """

    code = "needs-person"
    usual: ClassVar[Condition] = Condition.REFUSED

    def __init__(
        self, detail: str, *, action: str, condition: Condition | None = None, until: datetime | None = None
    ) -> None:
        super().__init__(detail)
        self.action = action
        self.condition = condition or self.usual
        self.until = until


class PairingTimedOut(NeedsPerson):
    """All pairing codes ran out without a scan."""

    code = "pairing-timed-out"
    usual = Condition.PAIRING_TIMED_OUT


class LoggedOut(NeedsPerson):
    """The device was removed from the account; the auth state is worthless."""

    code = "logged-out"
    usual = Condition.LOGGED_OUT


class Blocked(NeedsPerson):
    """WhatsApp refuses this account or this program (ban, outdated client, replaced by another session), or the auth
    state cannot be opened.
    """

    code = "blocked"
