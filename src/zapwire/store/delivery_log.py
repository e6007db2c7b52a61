"""Deliveries as people look at them, and asking for them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zapwire.events import Event
from zapwire.jid import PHONE_SERVER
from zapwire.model import BotId
from zapwire.store import journal, persons, times
from zapwire.store.deleted import of_gone_bot
from zapwire.store.deliveries import Attempt, Delivery, DeliveryState, lane_key, lane_name
from zapwire.store.transaction import Transaction
from zapwire.store.values import Connection, Row

_COLUMNS = "endpoint, event, seq, type, bot, lane, state, happened, due, attempts, answer, reply"
_THERE = f"NOT {of_gone_bot('deliveries')}"
_EVENT_LEFT = (
    "(EXISTS (SELECT 1 FROM journal WHERE journal.seq = deliveries.seq) OR EXISTS (SELECT 1 FROM dead_letters "
    "WHERE dead_letters.endpoint = deliveries.endpoint AND dead_letters.seq = deliveries.seq))"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries; None stands for all."""

    state: DeliveryState | None = None
    chat: str | None = None
    """An id or an address."""
    since: datetime | None = None
    """Events from then on."""
    until: datetime | None = None
    """Events before then."""


def find(sql: Connection, endpoint: str, event: str) -> int | None:
    """The number of the delivery of this event; None when there is none."""
    seq = journal.seq_of(sql, event)
    query, value = ("seq = ?", seq) if seq is not None else ("state != 'delivered' AND event = ?", event)
    query = f"SELECT seq FROM deliveries WHERE endpoint = ? AND {query} AND {_THERE}"  # noqa: S608 - constants
    row = sql.execute(query, (endpoint, value)).fetchone()
    return None if row is None else int(row[0])


def get(sql: Connection, endpoint: str, seq: int, wanted: Wanted | None = None) -> Delivery | None:
    """One delivery, if it is *wanted*."""
    source, arguments = _matching(sql, endpoint, wanted or Wanted())
    row = sql.execute(f"SELECT {_COLUMNS} {source} AND seq = ?", (*arguments, seq)).fetchone()
    return None if row is None else _delivery(sql, row)


def page(sql: Connection, endpoint: str, wanted: Wanted, before: int | None, limit: int) -> list[Delivery]:
    """Up to *limit* deliveries, the newest events first, older than the event *before*."""
    source, arguments = _matching(sql, endpoint, wanted)
    if before is not None:
        source += " AND seq < ?"
        arguments.append(before)
    query = f"SELECT {_COLUMNS} {source} ORDER BY seq DESC LIMIT ?"
    return [_delivery(sql, row) for row in sql.execute(query, (*arguments, limit)).fetchall()]


def replayable(
    sql: Connection, endpoint: str, wanted: Wanted, after: int, limit: int
) -> tuple[list[tuple[int, str]], int | None]:
    """Number and lane of up to *limit* deliveries that are over and whose event is still there, oldest first.

    Also: the number after which to look on, None when that was all. At most `journal.SCANNED` numbers are looked at.
    """
    last = journal.last_seq(sql)
    if after >= last:
        return [], None
    source, arguments = _matching(sql, endpoint, wanted)
    source += f" AND seq > ? AND seq <= ? AND due IS NULL AND {_EVENT_LEFT}"
    upto = after + journal.SCANNED
    rows = sql.execute(f"SELECT seq, lane {source} ORDER BY seq LIMIT ?", (*arguments, after, upto, limit)).fetchall()
    found = [(seq, lane_name(sql.values, f"{endpoint}/{seq}", lane)) for seq, lane in rows]
    if len(found) == limit:
        return found, found[-1][0]
    return found, upto if upto < last else None


def replay(transaction: Transaction, endpoint: str, seqs: Sequence[int]) -> int:
    """Queue deliveries anew that are over; returns how many that were."""
    now = times.to_ms(times.now())
    return sum(
        transaction.sql.execute(
            "UPDATE deliveries SET state = 'pending', replay = 1, tries = 0, since = ?1, due = ?1, at = ?1 "
            "WHERE endpoint = ?2 AND seq = ?3 AND due IS NULL",
            (now, endpoint, seq),
        ).rowcount
        for seq in seqs
    )


def insert_replay(transaction: Transaction, endpoint: str, event: Event, lane: str) -> None:
    """Queue an event that the endpoint was never sent, or so long ago that nobody knows."""
    transaction.sql.execute(
        "INSERT INTO deliveries "
        "(endpoint, seq, event, type, bot, lane, happened, state, replay, tries, since, due, at, attempts) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', 1, 0, ?8, ?8, ?8, '[]')",
        (
            *(endpoint, event.seq, event.id, event.type.value, event.bot, lane_key(transaction.sql.values, lane)),
            *(times.to_ms(event.timestamp), times.to_ms(times.now())),
        ),
    )


def hurry(transaction: Transaction, endpoint: str, seq: int) -> None:
    """Let a delivery that waits be due now."""
    transaction.sql.execute(
        "UPDATE deliveries SET due = min(due, ?) WHERE endpoint = ? AND seq = ? AND due IS NOT NULL",
        (times.to_ms(times.now()), endpoint, seq),
    )


def _matching(sql: Connection, endpoint: str, wanted: Wanted) -> tuple[str, list[Any]]:
    """`FROM ... WHERE ...` and its arguments, by the index that leaves fewest to look at."""
    where, index = f"endpoint = ? AND {_THERE}", ""
    arguments: list[Any] = [endpoint]
    if wanted.state is not None:
        where += " AND state = ?"
        arguments.append(wanted.state)
        if wanted.state is not DeliveryState.DELIVERED:
            index, where = " INDEXED BY deliveries_trouble", where + " AND state != 'delivered'"
    if wanted.chat is not None:
        lanes = _lanes_of(sql, wanted.chat)
        index = index or " INDEXED BY deliveries_lane"
        where += f" AND lane IN ({', '.join('?' * len(lanes))})"
        arguments += [lane_key(sql.values, lane) for lane in lanes]
    for moment, comparison in ((wanted.since, ">="), (wanted.until, "<")):
        if moment is not None:
            where += f" AND happened {comparison} ?"
            arguments.append(times.to_ms(moment))
    return f"FROM deliveries{index} WHERE {where}", arguments


def _lanes_of(sql: Connection, chat: str) -> list[str]:
    """What the lanes of a chat are and were stored as, for each bot: by any id and any address of the person."""
    lanes = [
        f"{bot}/{name}"
        for (bot,) in sql.execute("SELECT id FROM bots WHERE deleted_upto IS NULL")
        for name in _old_names(chat)
    ]
    for bot, known, ids in persons.ids_of(sql, chat):
        names = [*ids, *(name for address in known.addresses for name in _old_names(address))]
        lanes += [f"{bot}/{name}" for name in names]
    return lanes


def _old_names(address: str) -> list[str]:
    """What a chat was called before it had an id."""
    user, _, server = address.partition("@")
    return [address, f"+{user}"] if server == PHONE_SERVER else [address]


def _shown(sql: Connection, lane: str | None) -> str | None:
    """The chat of a lane for people: the phone number or else the JID."""
    bot, _, chat = (lane or "").partition("/")
    if not persons.ID.fullmatch(chat):
        return chat or None
    party = persons.by_id(sql, BotId(bot), chat)
    return chat if party is None else party.phone or party.jid


def _delivery(sql: Connection, row: Sequence[Any]) -> Delivery:
    endpoint, event, seq, kind, bot, lane, state, happened, due, attempts, answer, reply = row
    opened = sql.values.row("deliveries", f"{endpoint}/{seq}")
    return Delivery(
        event=event,
        seq=seq,
        type=kind,
        bot=bot,
        chat=_shown(sql, opened.unveil("lane", lane)),
        state=DeliveryState(state),
        happened=times.from_ms(happened),
        due=times.from_ms_or_none(due),
        attempts=_attempts(opened, attempts),
        answer=opened.open("answer", answer),
        reply=opened.json("reply", reply, dict),
    )


def _attempts(opened: Row, text: str) -> tuple[Attempt, ...]:
    try:
        return tuple(Attempt(times.from_ms(one[0]), *one[1:]) for one in opened.json("attempts", text, list) or [])
    except (TypeError, LookupError):
        opened.spoiled("attempts")
        return ()
