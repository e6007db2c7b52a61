"""What the engine says, in words and policies of ours: log lines, dial errors, send errors.

The end of a connection is read from the engine's log lines first. They come before the events and always; events can
be lost, and some cannot be encoded, which ends the engine's event pump (docs/engine.md: E6, E13; docs/decisions/0002).
Line texts are those of the pinned engine; tests/transport provokes every one of them. Sources: whatsmeow
connectionevents.go, client.go, send.go, errors.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from zapwire.errors import Blocked, LoggedOut, NeedsPerson, NotConnected, Refused, TransportError, ZapwireError
from zapwire.transport.whatsapp_web import codes

_PAIR_AGAIN: Final = "Connect the bot and scan the new QR code with the phone."
_SEE_PHONE: Final = "Look at WhatsApp on the phone; when it works there, connect the bot and scan the new QR code."

_FAILURE = re.compile(r"Got (\d+)\b.* connect failure, sending LoggedOut event")
_BUSY = re.compile(r"Got (\d+)/.* connect failure, assuming automatic reconnect")
_ATTRIBUTE = re.compile(r"""\b(reason|code|expire)=["']?(\d+)""")
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


def from_event(code: int) -> ZapwireError:
    """The end of a connection that one of the events `codes.ENDS` announces; the log line mostly was first."""
    if code == codes.STREAM_REPLACED:
        return _replaced()
    if code == codes.CLIENT_OUTDATED:
        return _outdated()
    return LoggedOut("WhatsApp logged this device out", action=_PAIR_AGAIN)


def reconnect_problem(text: str) -> str | None:
    """Why the engine's own reconnecting fails, if this log line tells it."""
    if text.startswith(("Error reconnecting after", "Failed to reconnect after")):
        return unreachable(text.partition(": ")[2]).detail
    if match := _BUSY.search(text):
        return f"WhatsApp cannot take the connection at the moment (failure {match[1]})"
    return None


def _replaced() -> Blocked:
    detail = "another program connected with this bot's session"
    return Blocked(detail, action="Stop the other program, then connect the bot again.")


def _outdated() -> Blocked:
    return Blocked("WhatsApp no longer accepts this version of the client", action="Update zapwire.")


def _logged_out(reason: int) -> NeedsPerson:
    if reason == 403:
        return LoggedOut("WhatsApp locked this account or its phone was logged out", action=_SEE_PHONE)
    if reason == 406:
        return LoggedOut("WhatsApp logged this device out, probably because the account is banned", action=_SEE_PHONE)
    return LoggedOut("WhatsApp logged this device out", action=_PAIR_AGAIN)


def _banned(attributes: dict[str, str]) -> Blocked:
    why = _BANS.get(int(attributes.get("code", 0)), "the reason given is unknown")
    seconds = int(attributes.get("expire", 0))
    until = f" for {timedelta(seconds=seconds)}" if seconds else ""
    return Blocked(
        f"WhatsApp banned this account{until}: {why}", action="Wait until the ban is over, then connect the bot."
    )


def _refused_connection(reason: str) -> ZapwireError:
    if reason.startswith("5") or reason == "429":
        return TransportError(f"WhatsApp cannot take the connection at the moment (failure {reason})")
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


def from_start_error(text: str) -> TransportError:
    """Why a client ended before it ran: the dial failed, or something on this machine (its database, mostly)."""
    if text.startswith(("failed to dial", "noise handshake failed")):
        return unreachable(text)
    return TransportError(f"the engine did not start: {_without_addresses(text) or 'without a reason'}")


def unreachable(error: str) -> Unreachable:
    """A dial error in plain words."""
    cause = error.rpartition('": ')[2]  # before that: which steps and which address
    if cause in _PROXY_ANSWERS:
        return Unreachable(f"WhatsApp cannot be reached: {_proxy_words(_PROXY_ANSWERS[cause])}")
    lower = error.lower()
    reason = next((words for part, words in _REASONS if part in lower), _without_addresses(cause))
    return Unreachable(f"WhatsApp cannot be reached: {reason}")


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
        return Refused("WhatsApp does not let this account start new chats at the moment (error 463)")
    if code == 429 or code >= 500:
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
