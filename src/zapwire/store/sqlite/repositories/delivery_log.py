"""Deliveries as people look at them, and asking for them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.deliveries import Attempt, Delivery, DeliveryFilter, DeliveryState
from zapwire.model.events import Event
from zapwire.model.jid import PERSON_ID, PHONE_SERVER
from zapwire.store.ports import DeliveryLogRepository
from zapwire.store.sqlite.repositories import journal
from zapwire.store.sqlite.repositories.delivery_queue import lane_key, lane_name
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.sealed_values import Row
from zapwire.store.sqlite.soft_delete import of_gone_bot

_COLUMNS = "endpoint, event, seq, type, bot, lane, state, happened, due, attempts, answer, reply"
_THERE = f"NOT {of_gone_bot('deliveries')}"
_EVENT_LEFT = (
    "(EXISTS (SELECT 1 FROM journal WHERE journal.seq = deliveries.seq) OR EXISTS (SELECT 1 FROM dead_letters "
    "WHERE dead_letters.endpoint = deliveries.endpoint AND dead_letters.seq = deliveries.seq))"
)


def _old_names(address: str) -> list[str]:
    """What a chat was called before it had an id."""
    user, _, server = address.partition("@")
    return [address, f"+{user}"] if server == PHONE_SERVER else [address]


def _attempts(opened: Row, text: str) -> tuple[Attempt, ...]:
    try:
        return tuple(Attempt(timestamps.from_ms(one[0]), *one[1:]) for one in opened.json("attempts", text, list) or [])
    except (TypeError, LookupError):
        opened.spoiled("attempts")
        return ()


class SqliteDeliveryLog(Repository, DeliveryLogRepository):
    """See `DeliveryLogRepository`."""

    @override
    def find(self, endpoint: str, event: str) -> int | None:
        seq = self._unit.journal.seq_of(event)
        query, value = ("seq = ?", seq) if seq is not None else ("state != 'delivered' AND event = ?", event)
        query = f"SELECT seq FROM deliveries WHERE endpoint = ? AND {query} AND {_THERE}"  # noqa: S608 - constants
        row = self._sql.execute(query, (endpoint, value)).fetchone()
        return None if row is None else int(row[0])

    @override
    def get(self, endpoint: str, seq: int, wanted: DeliveryFilter | None = None) -> Delivery | None:
        source, arguments = self._matching(endpoint, wanted or DeliveryFilter())
        row = self._sql.execute(f"SELECT {_COLUMNS} {source} AND seq = ?", (*arguments, seq)).fetchone()
        return None if row is None else self._delivery(row)

    @override
    def page(self, endpoint: str, wanted: DeliveryFilter, before: int | None, limit: int) -> list[Delivery]:
        source, arguments = self._matching(endpoint, wanted)
        if before is not None:
            source += " AND seq < ?"
            arguments.append(before)
        query = f"SELECT {_COLUMNS} {source} ORDER BY seq DESC LIMIT ?"
        return [self._delivery(row) for row in self._sql.execute(query, (*arguments, limit)).fetchall()]

    @override
    def replayable(
        self, endpoint: str, wanted: DeliveryFilter, after: int, limit: int
    ) -> tuple[list[tuple[int, str]], int | None]:
        last = self._unit.journal.last_seq()
        if after >= last:
            return [], None
        source, arguments = self._matching(endpoint, wanted)
        source += f" AND seq > ? AND seq <= ? AND due IS NULL AND {_EVENT_LEFT}"
        upto = after + journal.SCANNED
        rows = self._sql.execute(
            f"SELECT seq, lane {source} ORDER BY seq LIMIT ?", (*arguments, after, upto, limit)
        ).fetchall()
        found = [(seq, lane_name(self._values, f"{endpoint}/{seq}", lane)) for seq, lane in rows]
        if len(found) == limit:
            return found, found[-1][0]
        return found, upto if upto < last else None

    @override
    def replay(self, endpoint: str, seqs: Sequence[int]) -> int:
        now = timestamps.to_ms(timestamps.now())
        return sum(
            self._sql.execute(
                "UPDATE deliveries SET state = 'pending', replay = 1, tries = 0, since = ?1, due = ?1, at = ?1 "
                "WHERE endpoint = ?2 AND seq = ?3 AND due IS NULL",
                (now, endpoint, seq),
            ).rowcount
            for seq in seqs
        )

    @override
    def insert_replay(self, endpoint: str, event: Event, lane: str) -> None:
        self._sql.execute(
            "INSERT INTO deliveries "
            "(endpoint, seq, event, type, bot, lane, happened, state, replay, tries, since, due, at, attempts) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', 1, 0, ?8, ?8, ?8, '[]')",
            (
                *(endpoint, event.seq, event.id, event.type.value, event.bot, lane_key(self._values, lane)),
                *(timestamps.to_ms(event.timestamp), timestamps.to_ms(timestamps.now())),
            ),
        )

    @override
    def hurry(self, endpoint: str, seq: int) -> None:
        self._sql.execute(
            "UPDATE deliveries SET due = min(due, ?) WHERE endpoint = ? AND seq = ? AND due IS NOT NULL",
            (timestamps.to_ms(timestamps.now()), endpoint, seq),
        )

    def _matching(self, endpoint: str, wanted: DeliveryFilter) -> tuple[str, list[Any]]:
        """`FROM ... WHERE ...` and its arguments, by the index that leaves fewest to look at."""
        where, index = f"endpoint = ? AND {_THERE}", ""
        arguments: list[Any] = [endpoint]
        if wanted.state is not None:
            where += " AND state = ?"
            arguments.append(wanted.state)
            if wanted.state is not DeliveryState.DELIVERED:
                index, where = " INDEXED BY deliveries_trouble", where + " AND state != 'delivered'"
        if wanted.chat is not None:
            lanes = self._lanes_of(wanted.chat)
            index = index or " INDEXED BY deliveries_lane"
            where += f" AND lane IN ({', '.join('?' * len(lanes))})"
            arguments += [lane_key(self._values, lane) for lane in lanes]
        for moment, comparison in ((wanted.since, ">="), (wanted.until, "<")):
            if moment is not None:
                where += f" AND happened {comparison} ?"
                arguments.append(timestamps.to_ms(moment))
        return f"FROM deliveries{index} WHERE {where}", arguments

    def _lanes_of(self, chat: str) -> list[str]:
        """What the lanes of a chat are and were stored as, for each bot: by any id and any address of the person."""
        lanes = [
            f"{bot}/{name}"
            for (bot,) in self._sql.execute("SELECT id FROM bots WHERE deleted_upto IS NULL")
            for name in _old_names(chat)
        ]
        for bot, known, ids in self._unit.persons.ids_of(chat):
            names = [*ids, *(name for address in known.addresses for name in _old_names(address))]
            lanes += [f"{bot}/{name}" for name in names]
        return lanes

    def _shown(self, lane: str | None) -> str | None:
        """The chat of a lane for people: the phone number or else the JID."""
        bot, _, chat = (lane or "").partition("/")
        if not PERSON_ID.fullmatch(chat):
            return chat or None
        party = self._unit.persons.by_id(BotId(bot), chat)
        return chat if party is None else party.phone or party.jid

    def _delivery(self, row: Sequence[Any]) -> Delivery:
        endpoint, event, seq, kind, bot, lane, state, happened, due, attempts, answer, reply = row
        opened = self._values.row("deliveries", f"{endpoint}/{seq}")
        return Delivery(
            event=event,
            seq=seq,
            type=kind,
            bot=bot,
            chat=self._shown(opened.unveil("lane", lane)),
            state=DeliveryState(state),
            happened=timestamps.from_ms(happened),
            due=timestamps.from_ms_or_none(due),
            attempts=_attempts(opened, attempts),
            answer=opened.open("answer", answer),
            reply=opened.json("reply", reply, dict),
        )
