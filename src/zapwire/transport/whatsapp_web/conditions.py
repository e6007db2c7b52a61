"""What the engine says, in words and policies of ours: log lines, dial errors, send errors.

The end of a connection is read from the engine's log lines first. They come before the events and always; events can
be lost, and some cannot be encoded, which ends the engine's event pump (docs/engine.md: E6, E13; docs/decisions/0002).
Line texts are those of the pinned engine; tests/transport provokes every one of them. Sources: whatsmeow
connectionevents.go, client.go, send.go, errors.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from zapwire.errors import (
    Blocked,
    Condition,
    LoggedOut,
    NeedsPerson,
    NotConnected,
    Refused,
    Restricted,
    TransportError,
    ZapwireError,
)
from zapwire.transport.whatsapp_web import codes

_PAIR_AGAIN: Final = "Connect the bot and scan the new QR code with the phone."
_SEE_PHONE: Final = "Look at WhatsApp on the phone; when it works there, connect the bot and scan the new QR code."

_DOOM = "refreshing CAT before reconnecting"
_FAILURE = re.compile(r"Got (\d+)\b.* connect failure, ")
_BUSY = re.compile(r"Got (\d+)/.* connect failure, assuming automatic reconnect")
_ATTRIBUTE = re.compile(r"""\b(reason|code|expire)=["']?(\d+)""")
_BAN_MARGIN: Final = 5
"""Seconds after the end of a ban until it is tried whether it is over."""
_BANS: Final = {
    101: "it sent too many messages to people who do not have it in their address books",
    102: "too many people blocked it",
    103: "it created too many groups with people who do not have it in their address books",
    104: "it sent the same message to too many people",
    106: "it sent too many messages to a broadcast list",
}


def from_log_line(text: str) -> ZapwireError | None:
    """The end of a connection that a log line announces, or None for all other lines."""
    return next((judge(text) for sign, judge in _SIGNS if sign in text), None)


def doom(text: str) -> str | None:
    """The failure after whose log line the engine ends the process (docs/engine.md's E22); None for all other lines."""
    return str(_failure_code(text) or "unknown") if _DOOM in text else None


def doomed(reason: str) -> Blocked:
    """Why a bot is not connected whose login ended the last process."""
    detail = f"WhatsApp refused the connection in a way that ended the whole daemon (failure {reason})"
    action = (
        "Log the bot out and pair it anew. To connect it again may end the daemon once more; it starts by itself then."
    )
    return Blocked(detail, action=action)


def from_event(code: int) -> ZapwireError:
    """The end of a connection that one of the events `codes.ENDS` announces; the log line mostly was first."""
    if code == codes.STREAM_REPLACED:
        return _replaced()
    if code == codes.CLIENT_OUTDATED:
        return _outdated()
    return LoggedOut("WhatsApp logged this device out", action=_PAIR_AGAIN)


def reconnect_problem(text: str) -> TransportError | None:
    """Why the engine's own reconnecting fails, if this log line tells it."""
    if text.startswith(("Error reconnecting after", "Failed to reconnect after")):
        return unreachable(text.partition(": ")[2])
    if match := _BUSY.search(text):
        return _busy(match[1])
    return None


def from_store_text(text: str) -> ZapwireError | None:
    """What is the matter with the auth database, if an error of SQLite says so (sqlite3_errstr, result codes)."""
    lower = text.lower()
    if any(sign in lower for sign in _DAMAGED):
        return Blocked(
            "its auth database is damaged",
            action="Restore the bot's auth database, or log the bot out and pair it again.",
            condition=Condition.AUTH_DAMAGED,
        )
    reason = next((words for sign, words in _UNWRITABLE if sign in lower), None)
    if reason is None:
        return None
    return TransportError(f"its auth database cannot be used: {reason}", condition=Condition.STORE)


def from_store_line(text: str) -> ZapwireError | None:
    """The same of a log line: only its end counts, as what is before it may be a name that a stranger chose."""
    return from_store_text(": ".join(text.split(": ")[-2:])) if ": " in text else None


_DAMAGED: Final = ("disk image is malformed", "file is not a database", "no such table: whatsmeow_")
_UNWRITABLE: Final = (
    ("readonly database", "it cannot be written"),
    ("database or disk is full", "the disk is full"),
    ("no space left on device", "the disk is full"),
    ("disk i/o error", "the disk fails"),
    ("unable to open database file", "it cannot be opened (permissions, or no file descriptors left)"),
    ("too many open files", "no file descriptors are left"),
)


def _busy(reason: str) -> TransportError:
    detail = f"WhatsApp cannot take the connection at the moment (failure {reason})"
    return TransportError(detail, condition=Condition.BUSY)


def _replaced() -> Blocked:
    detail = "another program connected with this bot's session"
    action = "Stop the other program, then connect the bot again."
    return Blocked(detail, action=action, condition=Condition.REPLACED)


def _outdated() -> Blocked:
    detail = "WhatsApp no longer accepts this version of the client"
    return Blocked(detail, action="Update zapwire.", condition=Condition.OUTDATED)


def _logged_out(reason: int) -> NeedsPerson:
    if reason == 403:
        detail = "WhatsApp locked this account or its phone was logged out"
        return LoggedOut(detail, action=_SEE_PHONE, condition=Condition.LOCKED)
    if reason == 406:
        detail = "WhatsApp logged this device out, probably because the account is banned"
        return LoggedOut(detail, action=_SEE_PHONE, condition=Condition.BANNED)
    return LoggedOut("WhatsApp logged this device out", action=_PAIR_AGAIN)


def _banned(attributes: dict[str, str]) -> Blocked:
    why = _BANS.get(int(attributes.get("code", 0)), "the reason given is unknown")
    seconds = int(attributes.get("expire", 0))
    if not seconds:
        action = "Look at WhatsApp on the phone; connect the bot when it works there."
        return Blocked(f"WhatsApp banned this account: {why}", action=action, condition=Condition.BANNED)
    return Blocked(
        f"WhatsApp banned this account for {timedelta(seconds=seconds)}: {why}",
        action="Wait: the bot connects again by itself when the ban is over.",
        condition=Condition.BANNED,
        until=datetime.now(UTC) + timedelta(seconds=seconds + _BAN_MARGIN),
    )


def _refused_connection(reason: str) -> ZapwireError:
    if reason.startswith("5") or reason == "429":
        return _busy(reason)
    if reason == "463":
        detail = "WhatsApp locked this account (failure 463)"
        return Blocked(detail, action=_SEE_PHONE, condition=Condition.LOCKED)
    detail = f"WhatsApp refused the connection (failure {reason})"
    return Blocked(detail, action="Connect the bot again; if that does not help, log it out and pair it anew.")


def _attributes(text: str) -> dict[str, str]:
    return dict(_ATTRIBUTE.findall(text))


def _failure_code(text: str) -> int:
    match = _FAILURE.search(text)
    return int(match[1]) if match else 0


_SIGNS: Final[tuple[tuple[str, Callable[[str], ZapwireError]], ...]] = (
    (
        "Got device removed stream error",
        lambda _: LoggedOut("the phone removed this device from its linked devices", action=_PAIR_AGAIN),
    ),
    ("connect failure, sending LoggedOut event", lambda text: _logged_out(_failure_code(text))),
    ("Temporary ban connect failure", lambda text: _banned(_attributes(text))),
    ("Client outdated (405)", lambda _: _outdated()),
    ("Got replaced stream error", lambda _: _replaced()),
    ("Unknown connect failure", lambda text: _refused_connection(_attributes(text).get("reason", "without a reason"))),
)


_NOT_WHATSAPP: Final = "what answers there is not WhatsApp (a login page of the network, perhaps)"
_REASONS: Final = (
    ("username/password authentication failed", "the proxy does not take the user name and the password"),
    ("no acceptable authentication methods", "the proxy wants a user name and a password"),
    ("not allowed by ruleset", "the proxy does not let it through"),
    ("general socks server failure", "the proxy does not let it through"),
    ("socks connect", "the proxy cannot be reached, or does not let it through"),
    ("connection refused", "connection refused"),
    ("no such host", "its name cannot be resolved (no network, or no DNS)"),
    ("server misbehaving", "its name cannot be resolved (no network, or no DNS)"),
    ("temporary failure in name resolution", "its name cannot be resolved (no network, or no DNS)"),
    ("network is unreachable", "no network"),
    ("no route to host", "no route to it"),
    ("timed out waiting for handshake", "it did not answer the handshake"),
    ("i/o timeout", "it did not answer in time"),
    ("timeout", "it did not answer in time"),
    ("certificate", "its certificate is not trusted"),
    ("failed to verify server cert", "it is not a genuine WhatsApp server"),
    ("connection reset", "the connection was cut"),
    ("eof", "the connection was cut"),
    ("proxyconnect", "the proxy does not let it through"),
    ("not look like a tls handshake", _NOT_WHATSAPP),
    ("server gave http response to https client", _NOT_WHATSAPP),
    ("status code", "it refused the connection"),
)
_PROXY_ANSWERS: Final = {status.phrase: status for status in HTTPStatus if status >= 400}
"""Go tells a proxy's refusal by the words of its HTTP status alone (net/http, transport.go)."""


class Unreachable(TransportError):
    """There is no way to WhatsApp, for no bot."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, condition=Condition.UNREACHABLE)


def from_start_error(text: str) -> ZapwireError:
    """Why a client ended before it ran: the dial failed, or something on this machine (its database, mostly)."""
    if text.startswith(("failed to dial", "noise handshake failed")):
        return unreachable(text)
    if (error := from_store_text(text)) is not None:
        return error
    return TransportError(f"the engine did not start: {_without_addresses(text) or 'without a reason'}")


def unreachable(error: str, what: str = "WhatsApp") -> Unreachable:
    """A dial error in plain words; *what* was dialled."""
    cause = error.rpartition('": ')[2]  # before that: which steps and which address
    if cause in _PROXY_ANSWERS:
        return Unreachable(f"WhatsApp cannot be reached: {_proxy_words(_PROXY_ANSWERS[cause])}")
    lower = error.lower()
    reason = next((words for part, words in _REASONS if part in lower), _without_addresses(cause))
    return Unreachable(f"{what} cannot be reached: {reason}")


def _proxy_words(status: HTTPStatus) -> str:
    if status is HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "the proxy wants a user name and a password"
    return f"the proxy does not let it through ({status.phrase})"


_SERVER_ERROR = re.compile(r"server returned error (\d+)")
_IQ_STATUS = re.compile(r"status (\d{3})")


def from_send_error(text: str) -> Exception:
    """What a failed send means.

    `TimeoutError` is for the cases in which the message may have reached WhatsApp.
    """
    lower = text.lower()
    if "no lid found" in lower:
        return Refused("that number is not on WhatsApp", field="to")
    if "websocket not connected" in lower or "store doesn't contain a device" in lower:
        return NotConnected("the bot is not connected to WhatsApp")
    if match := _SERVER_ERROR.search(lower):
        return _from_code(int(match[1]))
    if "failed to get group members" in lower:
        return _from_group_error(lower)
    if "timed out waiting for message send response" in lower or "disconnected" in lower:
        return TimeoutError("WhatsApp did not confirm the message")
    return TransportError(f"WhatsApp did not take the message: {_without_addresses(text)}")


def _from_code(code: int) -> ZapwireError:
    if code == 463:
        detail = "WhatsApp does not let this account start new chats at the moment (error 463)"
        return Restricted(detail, error=code, strangers=True)
    if code == 429:
        return Restricted(
            "WhatsApp takes no messages of this account for a while (error 429)", error=code, strangers=False
        )
    if code >= 500:
        return TransportError(f"WhatsApp cannot take the message at the moment (error {code})")
    return Refused(f"WhatsApp refused the message (error {code})")


def _from_group_error(text: str) -> ZapwireError:
    if "does not exist" in text or "404" in text:
        return Refused("that group does not exist", field="to")
    if "not participating" in text or "403" in text:
        return Refused("the bot is not a member of that group", field="to")
    return TransportError("WhatsApp did not tell who is in that group")


def from_pair_phone_error(text: str) -> ZapwireError:
    """Why there is no pairing code."""
    match = _IQ_STATUS.search(text)
    code = int(match[1]) if match else 0
    if code == 429:
        return TransportError("WhatsApp gives no pairing code for this number at the moment: too many were asked for")
    if 400 <= code < 500 or "phone number" in text:
        return Refused("WhatsApp gives no pairing code for this number", field="phone")
    return TransportError(f"WhatsApp gave no pairing code: {_without_addresses(text)}")


def _without_addresses(text: str) -> str:
    """Errors end up in logs and on pages: no phone numbers in them."""
    return re.sub(r"[\d.:+-]*\d{5,}[\d.:-]*(@[\w.]+)?", "...", text)
