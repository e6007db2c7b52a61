"""What happened to bots on real numbers, as a report that can be shared: metrics only, no names, numbers, ids or texts.

It is read from the daemon's database, beside a running daemon too, and changes nothing. What is sealed is only looked
at where the master key is found: the events about bots and the daemon, for limits and alerts.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

from zapwire import __version__
from zapwire.maintenance import master_key
from zapwire.model.bots import BotState
from zapwire.model.errors import Condition, StoreError
from zapwire.model.events import EventType
from zapwire.model.messages import MessageState
from zapwire.settings import Settings
from zapwire.store.sqlite import encryption, migrations
from zapwire.vault.columns import Columns
from zapwire.vault.keys import Damaged

LATE_MS: Final = 60_000
"""A message that was stored longer after it was written came late."""
_DAY_MS: Final = 86_400_000
_STATES: Final = frozenset(state.value for state in BotState)
_CODES: Final = frozenset(code.value for code in Condition)
_SENT: Final = tuple(state.value for state in MessageState)
_KINDS: Final = frozenset({"first-messages", "time-lock", "rate"}) | _CODES
_ONLINE: Final = frozenset({BotState.CONNECTED.value, BotState.RECONNECTING.value})


@dataclass(slots=True)
class BotFigures:
    """One bot."""

    bot: str
    """`bot-1` and so on, by age; its own id is not told."""
    state: str = "stopped"
    code: str | None = None
    linked: bool = False
    days: float = 0.0
    """Since the oldest state that is kept of it."""
    days_linked: float = 0.0
    """Of those, connected or reconnecting."""
    reconnects: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """How often it ended so that a person or time had to help, by code: outdated (405), banned, logged-out, ..."""
    limits: Counter[str] | None = None
    """Limits on sending that began, by kind: first-messages (463), time-lock, rate (429); None without the key."""
    received: int = 0
    late: int = 0
    longest_delay: float = 0.0
    """Seconds, of the message that came latest."""
    unreadable: int = 0
    """Messages that could not be decrypted or read."""
    sent: dict[str, int] = field(default_factory=dict)
    """Outgoing messages by state."""


@dataclass(slots=True)
class Report:
    """All of it."""

    made_at: str
    zapwire: str
    engine: str
    engine_built: str | None
    first_event: str | None
    starts: int
    """Of the daemon, in the events that are kept."""
    start_reasons: Counter[str] | None
    alerts: Counter[str] | None
    bots: list[BotFigures]


def make(chosen: Settings, engine: str, engine_built: str | None) -> Report:
    """The report of the database that *chosen* names. Raises `StoreError` when it cannot be read."""
    path = chosen.database_file
    try:
        with closing(encryption.look_into(path)) as sql:
            if int(sql.execute("PRAGMA user_version").fetchone()[0]) != migrations.newest():
                raise StoreError("the database is of another version of zapwire: start this one on it once")
            sql.execute("BEGIN")
            source = master_key.find(chosen)
            columns = None if source is None else encryption.choose(sql, source.keys)
            return _report(sql, columns, engine, engine_built)
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} cannot be read: {error}") from None


def _report(sql: sqlite3.Connection, columns: Columns | None, engine: str, engine_built: str | None) -> Report:
    now = datetime.now(UTC)
    names = _bots(sql)
    for bot, figures in names.items():
        _history(sql, bot, figures, int(now.timestamp() * 1000))
    _messages(sql, names)
    reasons = alerts = None
    if columns is not None:
        reasons, alerts = Counter[str](), Counter[str]()
        for figures in names.values():
            figures.limits = Counter()
        _events(sql, columns, names, reasons, alerts)
    first = sql.execute("SELECT min(timestamp) FROM journal").fetchone()[0]
    return Report(
        made_at=now.isoformat(timespec="seconds"),
        zapwire=__version__,
        engine=engine,
        engine_built=engine_built,
        first_event=None if first is None else _moment(first),
        starts=_count(sql, EventType.DAEMON_STARTED),
        start_reasons=reasons,
        alerts=alerts,
        bots=[*names.values()],
    )


def _bots(sql: sqlite3.Connection) -> dict[str, BotFigures]:
    rows = sql.execute(
        "SELECT id, phone IS NOT NULL OR lid IS NOT NULL FROM bots WHERE deleted_upto IS NULL ORDER BY created_at, id"
    )
    return {bot: BotFigures(f"bot-{number}", linked=bool(linked)) for number, (bot, linked) in enumerate(rows, 1)}


def _history(sql: sqlite3.Connection, bot: str, figures: BotFigures, now: int) -> None:
    rows = sql.execute(
        "SELECT state, code, since, repeated FROM bot_history WHERE bot = ? ORDER BY n", (bot,)
    ).fetchall()
    ends = [*(since for _, _, since, _ in rows[1:]), now]
    before = ""
    for (state, code, since, repeated), end in zip(rows, ends, strict=True):
        lasted = max(0, end - since) / _DAY_MS
        figures.days += lasted
        figures.days_linked += lasted * (state in _ONLINE)
        figures.reconnects += before == BotState.CONNECTED and state == BotState.RECONNECTING
        if state in {BotState.BLOCKED, BotState.LOGGED_OUT, BotState.PAIRING_TIMED_OUT}:
            figures.ends[_known(code, _CODES)] += 1 + repeated
        figures.state, figures.code, before = _known(state, _STATES), _known(code, _CODES) if code else None, state


def _messages(sql: sqlite3.Connection, names: dict[str, BotFigures]) -> None:
    received = sql.execute(
        "SELECT bot, count(*), sum(stored_at - timestamp > ?), max(stored_at - timestamp) FROM messages "
        "WHERE from_me = 0 AND stored_at > 0 GROUP BY bot",
        (LATE_MS,),
    )
    for bot, count, late, longest in received:
        if (figures := names.get(bot)) is not None:
            figures.received, figures.late, figures.longest_delay = count, late, max(0, longest) / 1000
    for bot, state, count in sql.execute("SELECT bot, state, count(*) FROM outbox GROUP BY bot, state"):
        if (figures := names.get(bot)) is not None and state in _SENT:
            figures.sent[state] = count
    unreadable = sql.execute(
        "SELECT bot, count(*) FROM journal WHERE type = ? GROUP BY bot", (EventType.MESSAGE_UNDECRYPTABLE,)
    )
    for bot, count in unreadable:
        if (figures := names.get(bot)) is not None:
            figures.unreadable = count


def _events(
    sql: sqlite3.Connection,
    columns: Columns,
    names: dict[str, BotFigures],
    reasons: Counter[str],
    alerts: Counter[str],
) -> None:
    """What only the sealed events tell; one after the other, however many there are."""
    wanted = (EventType.BOT_STATE, EventType.DAEMON_STARTED, EventType.DAEMON_ALERT)
    rows = sql.execute("SELECT id, type, bot, data FROM journal WHERE type IN (?, ?, ?) ORDER BY seq", wanted)
    since: dict[str, Any] = {}
    for event, kind, bot, sealed in rows:
        data = _opened(columns, event, sealed)
        if kind == EventType.DAEMON_STARTED:
            reasons[_word(data.get("reason"))] += 1
        elif kind == EventType.DAEMON_ALERT:
            alerts[_word(data.get("kind"))] += data.get("state") == "raised"
        elif (figures := names.get(bot)) is not None and figures.limits is not None:
            limit = data.get("restriction")
            began = limit.get("since") if isinstance(limit, dict) else None
            if isinstance(limit, dict) and began != since.get(bot):
                figures.limits[_known(limit.get("kind"), _KINDS)] += 1
            since[bot] = began


def _opened(columns: Columns, event: str, sealed: bytes) -> dict[str, Any]:
    try:
        data = json.loads(columns.unseal("journal.data", event, sealed))
    except (Damaged, ValueError, TypeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _known(word: Any, words: frozenset[str]) -> str:
    """*word*, if it is one of ours: nothing else leaves."""
    return word if isinstance(word, str) and word in words else "other"


def _word(word: Any) -> str:
    fits = isinstance(word, str) and len(word) <= 24 and word.replace("-", "").isalpha() and word.isascii()
    return word if fits else "other"


def _count(sql: sqlite3.Connection, kind: EventType) -> int:
    return int(sql.execute("SELECT count(*) FROM journal WHERE type = ?", (kind,)).fetchone()[0])


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


# ---- as texts


def as_json(report: Report) -> str:
    """The report for programs."""
    return json.dumps(
        report, indent=2, default=lambda one: {each.name: getattr(one, each.name) for each in fields(one)}
    )


def as_markdown(report: Report) -> str:
    """The report for people."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "# zapwire soak report"
    yield ""
    built = report.engine_built or "an unknown day"
    yield f"Made {report.made_at} by zapwire {report.zapwire}, engine {report.engine} of {built}."
    yield "It holds metrics only: no numbers, names, ids, addresses or texts. Read it before you share it."
    yield ""
    first = report.first_event or "no day"
    yield f"Events are kept since {first}; the daemon was started {report.starts} times in them."
    yield f"- Why: {_listed(report.start_reasons)}"
    yield f"- Alerts: {_listed(report.alerts)}"
    yield ""
    yield "| bot | linked | state | days | days linked | reconnects | ended | limits |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in report.bots:
        state = one.state + (f" ({one.code})" if one.code else "")
        yield (
            f"| {one.bot} | {'yes' if one.linked else 'no'} | {state} | {one.days:.1f} | {one.days_linked:.1f} "
            f"| {one.reconnects} | {_listed(one.ends)} | {_listed(one.limits)} |"
        )
    yield ""
    yield "| bot | received | later than 60 s | longest delay, s | not readable | sent |"
    yield "|---|---|---|---|---|---|"
    for one in report.bots:
        yield (
            f"| {one.bot} | {one.received} | {one.late} | {one.longest_delay:.0f} | {one.unreadable} "
            f"| {_listed(Counter(one.sent))} |"
        )


def _listed(counts: Counter[str] | None) -> str:
    if counts is None:
        return "not known without the master key"
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "none"
