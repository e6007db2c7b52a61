"""What lines of the engine's log mean.

The end of a connection is read from them first: they come before the events and always, while events can be lost, and
some cannot be encoded, which ends the engine's event pump (docs/engine.md: E6, E13; docs/decisions/0002).

Many lines print what a stranger wrote: whatsmeow dumps whole stanzas ("Node handling took 6s for <message notify=...>",
and five more such formats), and prints message ids, JIDs and names. So a line means something only when its logger, its
level and *all* of its text are those of one format, and the parts of it that are read come from WhatsApp's server or
from SQLite. Nothing that begins with a `%s` of somebody else can be such a line. What would destroy auth state is only
a claim here (`endings.LogoutClaimed`).

The formats are those of the pinned engine; tests/transport provokes each of them. Sources: whatsmeow
connectionevents.go, client.go, message.go, binary/xml.go; goneonize utils/log.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from zapwire.model.errors import TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine import disconnect_reasons
from zapwire.transport.whatsapp_web.engine.dial_errors import unreachable
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.engine.store_errors import STORE_ERROR, from_store_error
from zapwire.transport.whatsapp_web.engine.untrusted_text import text_of

T = TypeVar("T")

CLIENT: Final = "Client"
"""The logger of everything that is judged here; others are `Client/Socket`, `Client/AppState`, `Database`."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the engine's log."""

    logger: str
    level: str
    """DEBUG, INFO, WARN or ERROR."""
    text: str

    @classmethod
    def read(cls, entry: bytes) -> LogLine:
        """Of a serialized `Neonize.LogEntry`; bytes that are no text become U+FFFD."""
        line = neonize.LogEntry.FromString(entry)
        return cls(text_of(line.Name), text_of(line.Level), text_of(line.Message))


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One format of a line, and what it means."""

    level: str
    pattern: re.Pattern[str]
    """Of the whole text."""
    make: Callable[[re.Match[str]], T]
    logger: str = CLIENT

    def judge(self, line: LogLine) -> T | None:
        """What *line* means if it is of this format."""
        if line.level != self.level or line.logger != self.logger:
            return None
        match = self.pattern.fullmatch(line.text)
        return self.make(match) if match is not None else None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A message of which there is no copy for this device."""

    id: str
    kind: str
    """WhatsApp's word, `view_once` for one."""


@dataclass(frozen=True, slots=True)
class TimeLock:
    """The account may not write to strangers."""

    until: datetime | None
    """None: it may, again."""


@dataclass(frozen=True, slots=True)
class LostMessage:
    """Where a message came from; both are JIDs."""

    sender: str
    chat: str


def end_of_connection(line: LogLine) -> ZapwireError | None:
    """The end of a connection that *line* announces, or None for all other lines."""
    return _first(ENDS, line)


def store_problem(line: LogLine) -> ZapwireError | None:
    """What is the matter with the bot's auth database, if *line* tells that SQLite said so."""
    return _first(STORE_PROBLEMS, line)


def reconnect_problem(line: LogLine) -> TransportError | None:
    """Why the engine's own reconnecting fails, if *line* tells it."""
    return _first(RECONNECTS, line)


def doom(line: LogLine) -> str | None:
    """The failure after whose line the engine ends the process (docs/engine.md's E22); None for all other lines."""
    return _first(DOOMS, line)


def unavailable(line: LogLine) -> Unavailable | None:
    """The kind of a message that is unavailable, which the event that follows does not tell (docs/engine.md's E18)."""
    return _first((UNAVAILABLE,), line)


def lost_message(line: LogLine) -> LostMessage | None:
    """A message that the engine opened, could not read, and tells nothing of but this line."""
    return _first(LOST, line)


def time_lock(line: LogLine) -> TimeLock | None:
    """What *line* says of a reach-out time-lock; it is a whole stanza of the server."""
    return _first((TIME_LOCK,), line)


def _first(rules: tuple[Rule[T], ...], line: LogLine) -> T | None:
    return next((found for rule in rules if (found := rule.judge(line)) is not None), None)


def _rule(level: str, pattern: str, make: Callable[[re.Match[str]], T], logger: str = CLIENT) -> Rule[T]:
    return Rule(level, re.compile(pattern, re.DOTALL), make, logger)


_NODE: Final = r"<failure(?P<attributes>[^<>]*)(?:/>|>.*</failure>)"
"""WhatsApp's own answer to a login, as whatsmeow prints a stanza."""
_ATTRIBUTE: Final = re.compile(r' (reason|code|expire)="(\d{1,9})"')


def _attributes(match: re.Match[str]) -> dict[str, str]:
    return dict(_ATTRIBUTE.findall(match["attributes"]))


def _banned(match: re.Match[str]) -> ZapwireError:
    attributes = _attributes(match)
    return disconnect_reasons.banned(int(attributes.get("code", 0)), int(attributes.get("expire", 0)))


ENDS: Final[tuple[Rule[ZapwireError], ...]] = (
    _rule(
        "INFO",
        "Got device removed stream error, sending LoggedOut event and deleting session",
        lambda _: disconnect_reasons.LogoutClaimed(disconnect_reasons.removed()),
    ),
    _rule(
        "INFO",
        r"Got (\d{3}): [a-z ]+ connect failure, sending LoggedOut event and deleting session",
        lambda match: disconnect_reasons.LogoutClaimed(disconnect_reasons.logged_out(int(match[1]))),
    ),
    _rule("WARN", f"Temporary ban connect failure: {_NODE}", _banned),
    _rule(
        "ERROR",
        r"Client outdated \(405\) connect failure \(client version: [\d.]+\)",
        lambda _: disconnect_reasons.outdated(),
    ),
    _rule("INFO", "Got replaced stream error, sending StreamReplaced event", lambda _: disconnect_reasons.replaced()),
    _rule(
        "WARN",
        f"Unknown connect failure: {_NODE}",
        lambda match: disconnect_reasons.refused(_attributes(match).get("reason", "without a reason")),
    ),
)

RECONNECTS: Final[tuple[Rule[TransportError], ...]] = (
    _rule(
        "ERROR",
        "(?:Error reconnecting after autoreconnect sleep|Failed to reconnect after 515 code): (.*)",
        lambda match: unreachable(match[1]),
    ),
    _rule(
        "WARN",
        r"Got (\d{3})/.* connect failure, assuming automatic reconnect will handle it",
        lambda match: disconnect_reasons.busy(match[1]),
    ),
)

DOOMS: Final[tuple[Rule[str], ...]] = (
    _rule(
        "INFO",
        r"Got (\d{3})/.* connect failure, refreshing CAT before reconnecting\.\.\.",
        lambda match: match[1],
    ),
    # The same as a stream error; the pinned engine does not come here without a refresher of CATs.
    _rule("INFO", r"Got (41[34]) stream error, refreshing CAT before reconnecting\.\.\.", lambda match: match[1]),
)

_OF_THE_STORE: Final = (
    "Error decrypting message |"
    "Failed to (?:"
    "save |store |update (?:device store|NCT salt)|delete (?:all (?:identities|sessions) of|store after)|"
    "get (?:LID for|number of prekeys in database|prekeys to upload|prekey for retry receipt)|"
    "load tctoken |persist privacy token |remove expired tctokens |mark prekeys as uploaded|migrate signal store |"
    "process sender key distribution message |sync app state after notification|do initial fetch of app state "
    ")"
)
"""How the lines begin whose last part is an error that may come from the database; all of them end in `: %v`.

Not among them are those whose error may end in what a stranger chose: "Failed to handle retry receipt ...: couldn't
find message <id>", "Failed to parse ...".
"""

STORE_PROBLEMS: Final[tuple[Rule[ZapwireError], ...]] = tuple(
    _rule(level, rf"(?:{_OF_THE_STORE}).*?: {STORE_ERROR}", from_store_error) for level in ("WARN", "ERROR")
)

_SOURCE: Final = r"(?P<sender>[\w.:-]+@[a-z.]+)(?: in (?P<chat>[\w.:-]+@[a-z.]+))?"
"""How whatsmeow prints who sent a message and where (types/message.go, SourceString)."""

UNAVAILABLE: Final = _rule(
    "WARN",
    rf'Unavailable message (?P<id>[\w.-]{{1,128}}) from {_SOURCE} \(type: "(?P<kind>[a-z_]{{1,32}})"\)',
    lambda match: Unavailable(match["id"], match["kind"]),
)


_LONGEST_LOCK: Final = timedelta(days=366)


def _time_lock(match: re.Match[str]) -> TimeLock:
    if match["active"] != "true":
        return TimeLock(None)
    now = datetime.now(UTC)
    try:
        until = datetime.fromtimestamp(int(match["ends"] or ""), UTC)
    except (ValueError, OverflowError, OSError):
        until = now + _LONGEST_LOCK
    return TimeLock(min(until, now + _LONGEST_LOCK))


TIME_LOCK_NAME: Final = b"xwa2_notify_account_reachout_timelock"
RECEIVED: Final = "Client/Recv"
"""The logger of stanzas that come in, at the level DEBUG."""
TIME_LOCK: Final = _rule(
    "DEBUG",
    # A notification of the server itself: what a stranger writes is inside <message> or <notification> of other types.
    r'<notification\b(?=[^<>]* type="mex")(?=[^<>]* from="(?:@)?s\.whatsapp\.net")[^<>]*>.*'
    r'xwa2_notify_account_reachout_timelock"\s*:\s*\{(?=[^{}]*"is_active"\s*:\s*(?P<active>true|false))'
    r'(?=(?:[^{}]*"time_enforcement_ends"\s*:\s*"?(?P<ends>\d{1,12}))?)[^{}]*\}.*',
    _time_lock,
    RECEIVED,
)


def _lost(match: re.Match[str]) -> LostMessage:
    return LostMessage(match["sender"], match["chat"] or match["sender"])


LOST: Final[tuple[Rule[LostMessage], ...]] = (
    _rule("WARN", rf"Error unmarshaling (?:decrypted|plaintext) message from {_SOURCE}: proto:.*", _lost),
    _rule("WARN", rf"Unhandled encrypted message \(type .{{0,64}}\) from {_SOURCE}", _lost),
    _rule("WARN", rf"Unknown version \d{{1,9}} in decrypted message from {_SOURCE}", _lost),
    _rule("WARN", rf"Plaintext message from {_SOURCE} doesn't have byte content", _lost),
)
