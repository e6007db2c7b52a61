"""Bots as they are kept: name, what is wanted of them, whom they are linked to. What they are doing is not stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, BotState, Halt, Identity, Restriction, TransportKind, Wanted
from zapwire.model.errors import Condition, Conflict, InvalidInput
from zapwire.model.ignoring import check_ignore
from zapwire.model.pairing import PairingOptions
from zapwire.model.proxy import Proxy
from zapwire.store.ports import BotRepository
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.sealed_values import Row, Values
from zapwire.store.sqlite.soft_delete import is_doomed

_COLUMNS = (
    "id, name, autostart, wanted, phone, lid, push_name, "
    "halt_state, halt_reason, halt_action, halt_at, unlinking, created_at, halt_code, halt_until, "
    "restriction_kind, restriction_reason, restriction_since, restriction_until, restriction_error, proxy, "
    "default_country, transport, pairing_options, ignored"
)


def _row(values: Values, row: Sequence[Any]) -> BotRow:
    bot, name, autostart, wanted, phone, lid, push_name, state, reason, action, since, unlinking, created = row[:13]
    code, until, kind, limit, limit_since, limit_until, error, proxy, country, transport, options, ignored = row[13:]
    opened = values.row("bots", bot)
    found = BotRow(
        id=BotId(bot),
        name=opened.open("name", name) or bot,
        autostart=bool(autostart),
        created_at=timestamps.from_ms(created),
        wanted=None if wanted is None else opened.word("wanted", wanted, Wanted),
        identity=Identity(opened.open("phone", phone), lid, opened.open("push_name", push_name)),
        halt=None
        if state is None
        else Halt(
            opened.word("halt_state", state, BotState) or BotState.BLOCKED,
            *(reason or "", action or "", timestamps.from_ms(since or 0), code, _moment(until)),
        ),
        unlinking=_moment(unlinking or None),
        restriction=None
        if kind is None
        else Restriction(kind, limit or "", timestamps.from_ms(limit_since or 0), _moment(limit_until), error),
        proxy=_proxy(opened, proxy),
        default_country=country,
        pairing_options=_options(opened, options),
        ignore=_ignore(opened, ignored),
        transport=opened.word("transport", transport, TransportKind) or TransportKind.WHATSAPP_WEB,
    )
    return _damaged(found, tuple(opened.damaged)) if opened.damaged else found


def _damaged(row: BotRow, columns: tuple[str, ...]) -> BotRow:
    """*row* as that of a bot that does nothing until a person has mended it."""
    halt = Halt(
        BotState.BLOCKED,
        f"its row in the database is damaged: {', '.join(columns)} cannot be read",
        "restore the database from a backup, or delete the bot and link it again",
        timestamps.now(),
        Condition.ROW_DAMAGED,
    )
    return replace(row, identity=Identity(), unlinking=None, halt=halt, damaged=columns)


def _proxy(opened: Row, sealed: bytes | None) -> Proxy | None:
    url = opened.open("proxy", sealed)
    try:
        return None if url is None else Proxy.parse(url)
    except InvalidInput:
        opened.spoiled("proxy")
        return None


def _options(opened: Row, sealed: bytes | None) -> PairingOptions:
    fields = None if sealed is None else opened.json("pairing_options", opened.open("pairing_options", sealed), dict)
    try:
        return PairingOptions(**fields or {}).checked()
    except (TypeError, InvalidInput):
        opened.spoiled("pairing_options")
        return PairingOptions()


def _ignore(opened: Row, sealed: bytes | None) -> tuple[str, ...] | None:
    if sealed is None:
        return None
    rules = opened.json("ignored", opened.open("ignored", sealed), list)
    try:
        return None if rules is None else check_ignore(map(str, rules))
    except InvalidInput:
        opened.spoiled("ignored")
        return None


def _ignore_text(rules: tuple[str, ...] | None) -> str | None:
    return None if rules is None else json.dumps(rules)


def _options_text(options: PairingOptions) -> str | None:
    return None if options == PairingOptions() else json.dumps(asdict(options))


def _url(proxy: Proxy | None) -> str | None:
    return None if proxy is None else proxy.url


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else timestamps.to_ms(moment)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else timestamps.from_ms(ms)


class SqliteBots(Repository, BotRepository):
    """See `BotRepository`."""

    @override
    def insert(self, row: BotRow) -> bool:
        values = self._values
        self._unit.epochs.pop(row.id, None)
        values.recent.change(row.id)  # of one that was called so before
        done = self._sql.execute(
            "INSERT INTO bots (id, name, autostart, wanted, created_at, proxy, default_country, transport, "
            "pairing_options, ignored) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(row.id, values.seal("bots.name", row.id, row.name), row.autostart, row.wanted),
                *(timestamps.to_ms(row.created_at), values.seal("bots.proxy", row.id, _url(row.proxy))),
                *(row.default_country, row.transport),
                values.seal("bots.pairing_options", row.id, _options_text(row.pairing_options)),
                values.seal("bots.ignored", row.id, _ignore_text(row.ignore)),
            ),
        )
        if done.rowcount == 0 and is_doomed(self._sql, row.id):
            raise Conflict(
                "a bot of this id was deleted, and what it left is still being removed: try again in some "
                "seconds, or take "
                "another id",
                field="id",
            )
        return done.rowcount == 1

    @override
    def update(self, row: BotRow) -> None:
        if row.damaged:
            self._sql.execute(
                "UPDATE bots SET autostart = ?, wanted = ?, unlinking = ? WHERE id = ?",
                (row.autostart, row.wanted, _ms(row.unlinking) or 0, row.id),
            )
            return
        halt, identity, limit, values = row.halt, row.identity, row.restriction, self._values
        self._sql.execute(
            "UPDATE bots SET name = ?, autostart = ?, wanted = ?, phone = ?, lid = ?, push_name = ?, "
            "halt_state = ?, halt_reason = ?, halt_action = ?, halt_at = ?, halt_code = ?, halt_until = ?, "
            "restriction_kind = ?, restriction_reason = ?, restriction_since = ?, restriction_until = ?, "
            "restriction_error = ?, unlinking = ?, proxy = ?, default_country = ?, pairing_options = ?, "
            "ignored = ? WHERE id = ?",
            (
                *(values.seal("bots.name", row.id, row.name), row.autostart, row.wanted),
                *(values.seal("bots.phone", row.id, identity.phone), identity.lid),
                values.seal("bots.push_name", row.id, identity.push_name),
                *((halt.state, halt.reason, halt.action, timestamps.to_ms(halt.since)) if halt else (None,) * 4),
                *((halt.code, _ms(halt.until)) if halt else (None,) * 2),
                *(
                    (limit.kind, limit.reason, _ms(limit.since), _ms(limit.until), limit.error)
                    if limit
                    else (None,) * 5
                ),
                *(_ms(row.unlinking) or 0, values.seal("bots.proxy", row.id, _url(row.proxy))),
                row.default_country,
                values.seal("bots.pairing_options", row.id, _options_text(row.pairing_options)),
                values.seal("bots.ignored", row.id, _ignore_text(row.ignore)),
                row.id,
            ),
        )

    @override
    def all_bots(self) -> list[BotRow]:
        rows = self._sql.execute(f"SELECT {_COLUMNS} FROM bots WHERE deleted_upto IS NULL ORDER BY created_at, rowid")  # noqa: S608 - constants
        return [_row(self._values, row) for row in rows]

    @override
    def take_over(self, bot: BotId) -> int:
        self._unit.epochs.pop(bot, None)
        query = "UPDATE bots SET owner_epoch = owner_epoch + 1 WHERE id = ? RETURNING owner_epoch"
        rows = self._sql.execute(query, (bot,)).fetchall()
        return int(rows[0][0]) if rows else 0

    @override
    def epoch(self, bot: BotId) -> int | None:
        epochs = self._unit.epochs  # asked for by each write of a bot, and many share a transaction
        if bot not in epochs:
            query = "SELECT owner_epoch FROM bots WHERE id = ? AND deleted_upto IS NULL"
            row = self._sql.execute(query, (bot,)).fetchone()
            epochs[bot] = None if row is None else int(row[0])
        return epochs[bot]

    def exists(self, bot: str) -> bool:
        """Is there a bot of that id?"""
        return (
            self._sql.execute("SELECT 1 FROM bots WHERE id = ? AND deleted_upto IS NULL", (bot,)).fetchone() is not None
        )

    @override
    def delete(self, bot: BotId) -> None:
        self._unit.epochs.pop(bot, None)
        query = "UPDATE bots SET deleted_upto = ? WHERE id = ? AND deleted_upto IS NULL"
        if self._sql.execute(query, (self._unit.journal.last_seq(), bot)).rowcount:
            self._unit.deleted = True
            self._values.damages.forget("bots", bot)
