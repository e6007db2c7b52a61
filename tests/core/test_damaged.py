"""One row in a hundred damaged, in any sealed column: it is skipped, named and moved past, and nobody else notices."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.core.receiver import Receiver, receiver
from tests.core.scripted import ALICE, QUICK, World, eventually, registered, text, world
from tests.harness.keys import KEYS
from zapwire.core.events import serializers
from zapwire.core.events.subscriptions import EventGap
from zapwire.core.monitoring.self_check import SelfCheck
from zapwire.core.webhooks import jobs, signing
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, BotState, Wanted
from zapwire.model.content.text import TextContent
from zapwire.model.deliveries import Attempt, DeliveryRecord, DeliveryState
from zapwire.model.errors import Conflict
from zapwire.model.events import Event, EventType
from zapwire.model.media import MediaDetails, MediaFile, MediaId, MediaState, RemoteFile
from zapwire.model.messages import MessageId, MessageState, NewMessage, Notes, Party
from zapwire.model.pairing import PairingOptions
from zapwire.model.proxy import Proxy
from zapwire.model.tokens import Token
from zapwire.model.webhooks import Endpoint, RetiredSecret
from zapwire.store.sqlite import encryption
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.encryption import Sealed
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.wire.media import Domain

NOW = timestamps.now()
BOTS = [BotId(name) for name in "abcd"]
ROWS = 25
"""Of each bot, so one in a hundred is damaged; of bots and webhooks one in four."""
LIMITS = replace(QUICK, sends_at_once=50, cursor_saved=0.01)


def person(number: int) -> Party:
    lid = f"80000000000{number:02}@lid"
    return Party(lid, f"+49151234567{number:02}", lid)


def fill(transaction: SqliteUnitOfWork, url: str) -> None:
    """Rows in every table that has sealed columns: received, waiting to be sent, waiting to be delivered, given up."""
    token = Token("tok_1", "laptop", NOW)
    for number in range(len(BOTS)):
        transaction.tokens.insert(replace(token, id=f"tok_{number}"), bytes([number]) * 32)
    for bot in BOTS:
        row = BotRow(bot, bot.upper(), autostart=True, created_at=NOW, proxy=Proxy.parse("socks5://127.0.0.1:9"))
        row = replace(row, pairing_options=PairingOptions(device_name="Desk"), ignore=("groups",))
        transaction.bots.insert(row)
        transaction.bots.update(replace(row, identity=ALICE, wanted=Wanted.CONNECTED))
        hook = Endpoint(f"whk_{bot}", url, ("message.received",), (bot,), enabled=True, created_at=NOW)
        hook = replace(hook, headers={"X-Bot": bot}, description=f"for {bot}")
        keys = signing.new_keys(None, ed25519=True)
        retired = (RetiredSecret(keys.secret, keys.private, NOW + timedelta(days=1)),)
        transaction.endpoints.insert(hook, replace(keys, retired=retired))
        for number in range(ROWS):
            _fill_one(transaction, bot, hook.id, number)
        transaction.endpoints.save_cursor(hook.id, transaction.journal.last_seq())


def _fill_one(transaction: SqliteUnitOfWork, bot: BotId, hook: str, number: int) -> None:
    """A message in and one out, an offer of history, and two deliveries: one that waits, one that was given up."""
    transaction.history_notices.keep(bot, f"H{number}", NOW, b"keys")
    remote = RemoteFile(Domain.IMAGE, "/x", bytes(32), bytes(32), bytes(32), 1)
    media = MediaId(f"med_{bot}{number}")
    transaction.media.insert(MediaFile(media, bot, MediaState.REMOTE, remote, MediaDetails(), NOW))
    transaction.poll_votes.cast(bot, f"P{number}", "prs_1", ("now",), NOW)
    for party, dead in ((person(number), False), (person(number + ROWS), True)):
        message = replace(text(f"{bot}{number}{'-dead' * dead}", chat=party).message)
        known = transaction.persons.learn(bot, party)
        message = replace(message, chat=known.party, sender=known.party)
        transaction.messages.insert(bot, message, known, known)
        event = transaction.journal.append(EventType.MESSAGE_RECEIVED, bot, serializers.message_json(message))
        tried = Attempt(NOW, 503, 1, "it answered 503")
        state = DeliveryState.DEAD if dead else DeliveryState.FAILED
        lane, due = jobs.lane_of(event), None if dead else NOW
        what = (event.seq, event.id, event.type.value, bot, lane, NOW, state, NOW)
        record = DeliveryRecord(*what, tries=1, due=due, attempt=tried, answer="no")
        if dead:
            transaction.delivery_queue.bury(hook, record, serializers.event_bytes(event).decode())
        else:
            transaction.delivery_queue.store(hook, [record])
    out = NewMessage(
        MessageId(f"msg_{bot}{number}"),
        bot,
        person(number).jid,
        TextContent(text=bot),
        b"\1",
        NOW,
        NOW + timedelta(days=1),
        f"key-{number}",
        notes=Notes("order"),
    )
    transaction.outbox.insert(out, MessageState.QUEUED)


def damage(path: Path, one: Sealed) -> tuple[str, dict[str, Any]]:
    """Change the value of one row in the middle; returns how its row is named, and what is in the clear of it."""
    with closing(sqlite3.connect(path)) as sql:
        sql.row_factory = sqlite3.Row
        query = f"SELECT {one.row} AS named, * FROM {one.table} WHERE {one.column} IS NOT NULL"
        if one.table in {"messages", "journal"}:
            query += " AND type IN ('text', 'message.received')"
        rows = sql.execute(f"{query} ORDER BY named").fetchall()
        assert len(rows) >= len(BOTS), f"the test has too little in {one.place}"
        found = rows[len(rows) // 2]
        broken = bytes(byte ^ 1 for byte in found[one.column])
        sql.execute(f"UPDATE {one.table} SET {one.column} = ? WHERE {one.row} = ?", (broken, found["named"]))
        sql.commit()
        return str(found["named"]), dict(found)


SILENT = {"messages.chat", "messages.sender", "messages.content", "messages.push_name"}
"""Compared, but never read again."""
LAZY = {
    *("outbox.digest", "outbox.content", "dead_letters.event", "deliveries.answer", "endpoints.retired"),
    *("history_notices.notice", "person_addresses.address", "poll_votes.options", "media.file"),
}
"""Read only when somebody asks for them."""


@pytest.mark.parametrize("one", encryption.COLUMNS, ids=lambda one: one.place)
async def test_a_damaged_value_costs_its_own_row_only(tmp_path: Path, one: Sealed):
    async with receiver() as hook:
        async with Database.open(tmp_path / "db", KEYS) as database:
            await database.write(partial(fill, url=hook.url))
            seqs = list(range(1, database.tail.last_seq + 1))
        named, row = damage(tmp_path / "db", one)
        async with world(tmp_path / "db", linked=True, limits=LIMITS) as at:
            self_check = SelfCheck(at.database, registered(at.transports))
            ill = named if one.table == "bots" else None
            await check_bots(at, ill)
            well = [bot for bot in BOTS if bot != ill]
            await check_reading(at, seqs, row if one.table == "journal" else None)
            await check_sending(at, well, row if one.place in {"outbox.chat", "outbox.content"} else None)
            lost = row if one.table == "journal" else None
            deaf = named if one.table == "endpoints" and one.column not in {"retired", "description"} else None
            assert len(await at.core.tokens.list()) == len(BOTS) - (one.table == "tokens")
            await check_webhooks(at, hook, well, deaf, lost)
            await self_check.round()
            if one.place not in SILENT | LAZY:
                assert f"{one.place} of row {named}" in self_check.alerts["damaged"]
                alerts = [event.data for event in await at.events("daemon.alert")]
                assert [(alert["kind"], alert["state"]) for alert in alerts] == [("damaged", "raised")]
                assert f"{one.place} of row {named} " in alerts[0]["detail"]
                await self_check.round()
                assert len(await at.events("daemon.alert")) == 1
            if ill is not None:
                await check_ill_bot(at, ill)
            if deaf is not None:
                await check_deaf_webhook(at, hook, deaf, one.column)


PLAIN = {
    "bots.halt_state": "dancing",
    "bots.created_at": 1 << 62,
    "journal.timestamp": 1 << 62,
    "journal.type": "message.dreamt",
    "outbox.created_at": -(1 << 62),
    "outbox.due": 1 << 62,
    "endpoints.events": "[7",
    "endpoints.bots": '{"not": "a list"}',
    "endpoints.created_at": 1 << 62,
    "deliveries.attempts": '[["x"]]',
    "deliveries.happened": 1 << 62,
}
"""Values that are not sealed, and what makes no sense there."""


@pytest.mark.parametrize("place", PLAIN)
async def test_a_value_that_makes_no_sense_costs_its_own_row_only(tmp_path: Path, place: str):
    table, column = place.split(".")
    async with receiver() as hook:
        async with Database.open(tmp_path / "db", KEYS) as database:
            await database.write(partial(fill, url=hook.url))
            key = {"outbox": "n", "deliveries": "endpoint || seq", "journal": "seq"}.get(table, "id")
            row = await database.write(
                lambda t: t.sql.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {key} = "
                    f"(SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET 1) RETURNING *",
                    (PLAIN[place],),
                ).fetchone()
            )
        async with world(tmp_path / "db", linked=True, limits=LIMITS) as at:
            ill = row[0] if place == "bots.halt_state" else None
            well = [bot for bot in BOTS if bot != ill]
            for bot in well:
                await at.core.bots.get(bot).connect()
                await at.until(bot, BotState.CONNECTED)
            for bot in await at.core.bots.list():
                serializers.bot_json(bot)
            for endpoint in await at.core.endpoints.list():
                serializers.endpoint_json(endpoint)
                page = await at.core.delivery_log.page(endpoint.id, limit=100)
                assert [serializers.delivery_json(one)["state"] for one in page.deliveries]
            deaf = row[0] if place in {"endpoints.events", "endpoints.bots"} else None
            for bot in well:
                await at.tell(bot, text(f"{bot}-new"))
            expected = {f"{bot}-new" for bot in well if f"whk_{bot}" != deaf}
            await hook.until(lambda: {body["data"].get("id") for body in hook.taken} >= expected)
            if deaf is not None:
                assert column in ((await at.core.endpoints.get(deaf)).disabled_reason or "")
                await at.core.endpoints.update(deaf, events=["*"], bots=None)
                assert not (await at.core.endpoints.get(deaf)).damaged


async def check_bots(at: World, ill: str | None) -> None:
    for bot in BOTS:
        if bot == ill:
            view = at.core.bots.get(bot).view
            assert (view.state, view.code) == (BotState.BLOCKED, "row-damaged")
            assert view.autostart
            assert "delete the bot" in (view.action or "")
        else:
            await at.core.bots.get(bot).connect()
            await at.until(bot, BotState.CONNECTED)


async def check_ill_bot(at: World, ill: str) -> None:
    """It does nothing, keeps what can be read of it, and can be deleted."""
    bot = at.core.bots.get(ill)
    for command in (bot.connect, bot.restart, bot.logout):
        with pytest.raises(Conflict, match="damaged"):
            await command()
    await at.core.bots.get(ill).disconnect()
    assert at.transports[ill].runs == 0
    columns = "lid, autostart, name IS NOT NULL, proxy IS NOT NULL, halt_state"
    query = f"SELECT {columns} FROM bots WHERE id = ?"
    kept = await at.database.read(lambda sql: sql.sql.execute(query, (ill,)).fetchone())
    assert kept == ("9000000000001@lid", 1, 1, 1, None)
    await at.core.bots.delete(ill)
    await at.core.bots.create(ill)
    await at.until(ill, BotState.CONNECTED)


async def check_reading(at: World, seqs: list[int], lost: dict[str, Any] | None) -> None:
    """Pages and streams give everything, and tell of the one that is missing."""
    found: list[int] = []
    gaps: list[EventGap] = []
    cursor, last = 0, max(seqs)
    while cursor < last:
        page = await at.core.subscriptions.page(cursor, limit=40)
        found += [event.seq for event in page.events]
        gaps += [page.gap] if page.gap is not None else []
        cursor = page.next_after
    missing = [] if lost is None else [lost["seq"]]
    assert [seq for seq in found if seq <= last] == [seq for seq in seqs if seq not in missing]
    assert gaps == [EventGap(seq, seq) for seq in missing]
    follower, told = at.core.subscriptions.follower(0), []
    while follower.cursor < last:
        told += await follower.batch()
    assert [one.seq for one in told if isinstance(one, Event) and one.seq <= last] == [
        seq for seq in seqs if seq not in missing
    ]
    assert [one for one in told if isinstance(one, EventGap)] == gaps
    if lost is not None:  # who would not have got it anyway is told of no gap
        other = next(bot for bot in BOTS if bot != lost["bot"])
        assert (await at.core.subscriptions.page(0, bots=[other], limit=1000)).gap is None
        assert (await at.core.subscriptions.page(0, types=["bot.state"], limit=1000)).gap is None


async def check_sending(at: World, well: list[str], broken: dict[str, Any] | None) -> None:
    """What waited to be sent is sent; what cannot be read failed."""

    async def waiting() -> bool:
        queues = (await at.database.read(lambda unit: unit.backlog.backlog())).outbox
        return not any(bot in queues for bot in well)

    await eventually(waiting)
    for bot in well:
        expected = ROWS - (broken is not None and broken["bot"] == bot)
        assert len(at.transports[bot].sent) == expected
    if broken is not None:
        view = await at.core.outbox.get(broken["bot"], broken["id"])
        assert (view.state, view.reason) == (MessageState.FAILED, "its row in the database is damaged")
        told = [event.data for event in await at.events("message.status") if event.data["id"] == broken["id"]]
        assert [one["state"] for one in told] == ["failed"]


async def check_webhooks(
    at: World,
    hook: Receiver,
    well: list[str],
    deaf: str | None,
    lost: dict[str, Any] | None,
) -> None:
    """What waited to be delivered is delivered, and what comes now."""
    hearing = [bot for bot in BOTS if f"whk_{bot}" != deaf]
    for bot in well:
        await at.tell(bot, text(f"{bot}-new", chat=person(1)))
    expected = {f"{bot}{number}" for bot in hearing for number in range(ROWS)}
    expected |= {f"{bot}-new" for bot in hearing if bot in well}

    def taken() -> set[str]:
        return {body["data"]["id"] for body in hook.taken if body["type"] == "message.received"}

    missing = set()
    if lost is not None and lost["seq"] % 2:  # those of even numbers were given up before
        missing = {f"{lost['bot']}{(lost['seq'] - 1) % (2 * ROWS) // 2}"}
    await hook.until(lambda: taken() >= expected - missing)
    assert taken() == expected - missing


async def check_deaf_webhook(at: World, hook: Receiver, deaf: str, column: str) -> None:
    """It is disabled and says why; a new value makes it work again."""
    endpoint = await at.core.endpoints.get(deaf)
    assert not endpoint.enabled
    assert column in (endpoint.disabled_reason or "")
    with pytest.raises(Conflict, match="damaged"):
        await at.core.delivery_log.test(deaf)
    if column in {"secret", "private_key"}:
        await at.core.endpoints.rotate(deaf)
    else:
        await at.core.endpoints.update(deaf, url=hook.url, headers={"X-New": "1"})
    await at.core.endpoints.update(deaf, enabled=True)
    bot = deaf.removeprefix("whk_")
    await hook.until(lambda: sum(body["bot"] == bot for body in hook.taken) == ROWS + 1)
    assert (await at.core.endpoints.get(deaf)).enabled


async def test_a_webhook_moves_past_what_cannot_be_read_and_is_told_once(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=LIMITS) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.core.endpoints.pause(endpoint.id)
        for number in range(10):
            await at.tell("bot", text(f"A{number}"))
        lost = (await at.events("message.received"))[4]
        broken = "UPDATE journal SET data = x'00' WHERE seq = ?"
        await at.database.write(lambda t: t.sql.execute(broken, (lost.seq,)))
        at.database.tail.forget(BotId("bot"), at.database.tail.last_seq + 1)
        at.database.tail._floor = at.database.tail.last_seq  # as after a restart: memory has nothing
        await at.core.endpoints.resume(endpoint.id)
        await hook.until(lambda: len(hook.taken) == 10)
        told = {body["type"]: body["data"] for body in hook.taken}
        assert told["webhook.gap"] == {
            "webhook": endpoint.id, "from_seq": lost.seq, "to_seq": lost.seq, "count": 1,
        }  # fmt: skip
        found = {body["data"].get("id") for body in hook.taken} - {None}
        assert found == {f"A{number}" for number in range(10) if number != 4}
        [dead] = (await at.core.delivery_log.page(endpoint.id, state="dead")).deliveries
        assert (dead.seq, dead.attempts[0].error) == (lost.seq, "its row in the database is damaged")
        # the cursor put back, as by a crash before it was saved: nothing is told twice
        back = "UPDATE endpoints SET cursor = 0 WHERE id = ?"
        await at.database.write(lambda t: t.sql.execute(back, (endpoint.id,)))
        await at.core.endpoints.update(endpoint.id, description="new")
        await at.tell("bot", text("B"))
        await hook.until(lambda: hook.taken[-1]["data"].get("id") == "B")
        assert len(await at.events("webhook.gap")) == 1
        assert len(hook.taken) == 11


async def test_what_waits_for_another_attempt_and_cannot_be_read_any_more_is_told(tmp_path: Path):
    lasting = replace(LIMITS, webhook_schedule=(0.02,) * 1000)
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=lasting) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        hook.answer = lambda body: 500
        for number in range(3):
            await at.tell("bot", text(f"A{number}"))
        await hook.until(lambda: len(hook.got) > 3)
        lost = (await at.events("message.received"))[1]
        broken = "UPDATE journal SET data = x'00' WHERE seq = ?"
        await at.database.write(lambda t: t.sql.execute(broken, (lost.seq,)))
        hook.answer = lambda body: 200
        await hook.until(lambda: len(hook.taken) == 3)
        told = {body["type"]: body["data"] for body in hook.taken}
        assert told["webhook.gap"] == {
            "webhook": endpoint.id, "from_seq": lost.seq, "to_seq": lost.seq, "count": 1,
        }  # fmt: skip
        assert {body["data"].get("id") for body in hook.taken} == {"A0", "A2", None}
        [dead] = (await at.core.delivery_log.page(endpoint.id, state="dead")).deliveries
        assert (dead.seq, dead.attempts[0].error) == (lost.seq, "its row in the database is damaged")


async def test_a_page_ends_before_a_gap_and_the_next_begins_with_it(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=LIMITS) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        for number in range(6):
            await at.tell("bot", text(f"A{number}"))
        seqs = [event.seq for event in await at.events("message.received")]
        broken = "UPDATE journal SET data = x'00' WHERE seq = ?"
        await at.database.write(lambda t: t.sql.executemany(broken, [(seqs[2],), (seqs[3],)]))
        page = await at.core.subscriptions.page(seqs[0] - 1, limit=10)
        assert ([event.seq for event in page.events], page.gap, page.next_after) == (seqs[:2], None, seqs[1])
        page = await at.core.subscriptions.page(page.next_after, limit=10, wait=5)
        assert page.gap == EventGap(seqs[2], seqs[3])
        assert [event.seq for event in page.events] == seqs[4:]
        page = await at.core.subscriptions.page(seqs[1], limit=2)  # what is gone takes no place in it
        assert ([event.seq for event in page.events], page.gap, page.next_after) == (
            seqs[4:], EventGap(seqs[2], seqs[3]), seqs[5],
        )  # fmt: skip
