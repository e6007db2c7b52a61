"""Faults on demand: what a tester can make the server do wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from zapwire.wire.node import Attr, Node

EVERYBODY: Final = ""
CLIENT_REVISION: Final = 1026131876
"""The newest revision of the web client, as libraries ask for it before they connect. Any is let in."""
OUTDATED: Final = 405


@dataclass(slots=True)
class LoginFailure:
    """What a login is answered with: `<failure reason=..>` and more (402 has `code` and `expire` in seconds)."""

    reason: int
    attrs: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    """After how many logins it is over; None for never."""

    def node(self) -> Node:
        """The stanza."""
        return Node("failure", {"reason": str(self.reason), "location": "sandbox", **self.attrs})


@dataclass(slots=True)
class MessageError:
    """What a device's messages are acknowledged with instead of being delivered."""

    code: int
    times: int | None = None
    """After how many messages it is over; None for never."""
    strangers: bool = False
    """Only messages to people who never wrote to this account."""


@dataclass(slots=True)
class WebPage:
    """What the server answers when its web page is asked for the newest revision of the client."""

    revision: int
    answer: str = "script"
    """As it should be, `script`, or as something that holds no revision."""


Limited = TypeVar("Limited", LoginFailure, MessageError)


def stream_error(code: int | None = None, conflict: str = "", child: str = "") -> Node:
    """`<stream:error>`: 515, 503, 401 with conflict `device_removed`, conflict `replaced` alone, or another *child*."""
    attrs: dict[str, Attr] = {"code": str(code)} if code else {}
    children = [Node("conflict", {"type": conflict})] if conflict else []
    return Node("stream:error", attrs, [*children, Node(child)] if child else children)


class FaultTarget(Protocol):
    """A client's socket, as far as faults strike it."""

    phone: str
    """Digits; empty before the login."""
    device_number: int | None

    def forget(self) -> None:
        """Know nothing of the client any more, and leave its socket open."""

    def freeze(self) -> None:
        """Read and write nothing from now on."""

    def thaw(self) -> None:
        """Go on."""

    def abort(self) -> None:
        """Cut the socket without a word."""

    async def end(self, node: Node) -> None:
        """Send a last stanza and close."""


class Faults:
    """The faults in force. A target is a phone number, or nothing for everybody."""

    def __init__(self) -> None:
        self.connections: set[FaultTarget] = set()
        self.refusing = False
        self.refused: set[str] = set()
        self.frozen: set[str] = set()
        self.deaf: set[str] = set()
        self.unacknowledged: set[str] = set()
        self.flapping: dict[str, float] = {}
        self.slow: dict[str, int] = {}
        self.login_failures: dict[str, LoginFailure] = {}
        self.message_errors: dict[str, MessageError] = {}
        self.acquainted: set[tuple[str, str]] = set()
        self.oldest_version = 0
        """The smallest third number of a client's version that is let in."""
        self.web_page = WebPage(CLIENT_REVISION)

    def refuse(self, on: bool, phone: str = EVERYBODY) -> None:
        """Cut every new connection before it says anything; those that exist go on.

        Whose it is shows only at the login: those of one *phone* are cut then.
        """
        if phone:
            (self.refused.add if on else self.refused.discard)(phone)
        else:
            self.refusing = on

    def turn_deaf(self, phone: str) -> None:
        """Take logins and answer keep-alives; hear nothing else from who is logged in, and deliver nothing."""
        self.deaf.add(phone)

    def is_deaf(self, phone: str) -> bool:
        """Is the server deaf towards this phone's devices?"""
        return phone in self.deaf

    def leave_unacknowledged(self, phone: str) -> None:
        """Take this phone's messages and never say so."""
        self.unacknowledged.add(phone)

    def flap(self, phone: str, seconds: float) -> None:
        """Cut this phone's connections so long after each login, beginning now."""
        self.flapping[phone] = seconds
        self.drop(phone)

    def slow_down(self, phone: str, bytes_per_second: int) -> None:
        """Read and write no faster than that on this phone's connections."""
        self.slow[phone] = bytes_per_second

    def pause(self, phone: str, size: int) -> float:
        """Seconds that *size* bytes take on this phone's connections, beyond what they take anyway."""
        rate = self.slow.get(phone)
        return size / rate if rate else 0.0

    def half_open(self, phone: str = EVERYBODY) -> int:
        """Forget connections without a word, as a server does that was cut off from its network; gives how many."""
        hit = self._of(phone)
        for connection in hit:
            connection.forget()
        return len(hit)

    def freeze(self, phone: str = EVERYBODY) -> None:
        """Answer nothing any more and send nothing, but keep the sockets."""
        self.frozen.add(phone)
        for connection in self._of(phone):
            connection.freeze()

    def thaw(self, phone: str = EVERYBODY) -> None:
        """Go on where `freeze` stopped; for everybody, all freezes end."""
        self.frozen = self.frozen - {phone} if phone else set()
        for connection in self._of(phone):
            if not self.is_frozen(connection.phone):
                connection.thaw()

    def is_frozen(self, phone: str) -> bool:
        """Does the server act dead towards this phone's devices?"""
        return EVERYBODY in self.frozen or phone in self.frozen

    def drop(self, phone: str = EVERYBODY, device: int | None = None) -> int:
        """Cut the sockets as a broken network does, without a word; gives how many."""
        hit = [c for c in self._of(phone) if device is None or c.device_number == device]
        for connection in hit:
            connection.abort()
        return len(hit)

    async def send_stream_error(self, node: Node, phone: str = EVERYBODY, device: int | None = None) -> int:
        """Send a stream error and end those connections; gives how many."""
        hit = [c for c in self._of(phone) if device is None or c.device_number == device]
        for connection in hit:
            await connection.end(node)
        return len(hit)

    def fail_logins(self, failure: LoginFailure, phone: str = EVERYBODY) -> None:
        """Answer logins with a failure from now on."""
        self.login_failures[phone] = failure

    def login_failure(self, phone: str, version: int) -> LoginFailure | None:
        """The failure that this login is to get, counted down; *version* is the third number of the client's."""
        if version < self.oldest_version:
            return LoginFailure(OUTDATED)
        return _counted(self.login_failures, phone)

    def refuse_messages(self, error: MessageError, phone: str = EVERYBODY) -> None:
        """Acknowledge messages of this account with an error from now on."""
        self.message_errors[phone] = error

    def wrote(self, sender: str, to: str) -> None:
        """One account wrote to another, so that it is no stranger; by their phone numbers."""
        self.acquainted.add((sender, to))

    def message_error(self, phone: str, to: str = "") -> str:
        """The error that this account's next message, to the number *to*, is to get, counted down; nothing for none."""
        fault = self.message_errors.get(phone) or self.message_errors.get(EVERYBODY)
        if fault is not None and fault.strangers and (not to or (to, phone) in self.acquainted):
            return ""
        error = _counted(self.message_errors, phone)
        return str(error.code) if error else ""

    def clear(self) -> None:
        """Be a good server again."""
        self.refusing = False
        for phone in self.deaf:  # who missed stanzas has to come back for them
            self.drop(phone)
        for table in (self.refused, self.deaf, self.unacknowledged, self.flapping, self.slow):
            table.clear()
        self.login_failures.clear()
        self.message_errors.clear()
        self.oldest_version, self.web_page = 0, WebPage(CLIENT_REVISION)
        self.thaw()

    def _of(self, phone: str) -> list[FaultTarget]:
        return [c for c in self.connections if not phone or c.phone == phone]


def _counted(table: dict[str, Limited], phone: str) -> Limited | None:
    """The fault in force for this phone, used once more."""
    key = phone if phone in table else EVERYBODY
    fault = table.get(key)
    if fault is not None and fault.times is not None:
        fault.times -= 1
        if fault.times <= 0:
            del table[key]
    return fault
