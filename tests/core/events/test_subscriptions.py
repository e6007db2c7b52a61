"""Readers of the journal, fast and slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import World, text, world
from zapwire.model.bots import BotId, BotState
from zapwire.model.errors import InvalidInput
from zapwire.model.events import Event, EventType, Payload
from zapwire.model.timestamps import now
from zapwire.store.journal_tail import JournalTail
from zapwire.store.sqlite.repositories import journal
from zapwire.store.sqlite.repositories.journal import SqliteJournal


async def connected(at: World, *bots: str) -> None:
    for bot in bots:
        await at.core.bots.create(bot)
        await at.until(bot, BotState.CONNECTED)


async def test_pages_lead_from_one_to_the_next_past_what_does_not_match(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at, "a", "b")
        for number in range(5):
            await at.tell("a", text(f"A{number}"))
        await at.core.bots.get("b").change(name="B")
        page = await at.core.subscriptions.page(0, bots=["a"], types=["message.received"], limit=3)
        assert [event.data["id"] for event in page.events] == ["A0", "A1", "A2"]
        page = await at.core.subscriptions.page(page.next_after, bots=["a"], types=["message.received"], limit=3)
        assert [event.data["id"] for event in page.events] == ["A3", "A4"]
        assert page.next_after == await at.core.subscriptions.last_seq()
        assert (await at.core.subscriptions.page(page.next_after)).events == []
        assert (await at.core.subscriptions.page(0, bots=[])).events == []


async def test_a_rare_type_is_found_in_short_reads_which_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at, "a")
        monkeypatch.setattr(journal, "SCANNED", 7)
        reads: list[int] = []
        read = SqliteJournal.read

        def counted(*arguments: Any, **more: Any) -> Any:
            found = read(*arguments, **more)
            reads.append(found[1] - arguments[1])
            return found

        monkeypatch.setattr(SqliteJournal, "read", counted)
        for number in range(60):
            await at.tell("a", text(f"A{number}"))
            if number % 25 == 24:
                await at.core.bots.get("a").change(name=f"a{number}")
        page = await at.core.subscriptions.page(0, types=["bot.state"], limit=1000)
        told = [event.data["name"] for event in page.events]
        assert told[-2:] == ["a24", "a49"]
        assert page.next_after == await at.core.subscriptions.last_seq()
        assert max(reads) == 7
        first = await at.core.subscriptions.page(0, types=["bot.state"], limit=1)
        second = await at.core.subscriptions.page(first.next_after, types=["bot.state"], limit=1000)
        assert [*first.events, *second.events] == page.events
        at.database.tail._floor = at.database.tail.last_seq  # a stream that has to read the table, too
        follower = at.core.subscriptions.follower(0, types=["bot.state"])
        found: list[Any] = []
        while len(found) < len(page.events):
            found += await follower.batch()
        assert found == page.events


async def test_bad_cursors_and_types_are_refused(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        for after in (-1, 2**63):
            with pytest.raises(InvalidInput) as caught:
                await at.core.subscriptions.page(after)
            assert caught.value.field == "after"
        with pytest.raises(InvalidInput) as caught:
            at.core.subscriptions.follow(0, types=["message.lost"])
        assert caught.value.field == "types"
        for limit in (0, 1001):
            with pytest.raises(InvalidInput):
                await at.core.subscriptions.page(0, limit=limit)


async def test_followers_lose_nothing_wherever_they_begin_and_however_slow(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at, "a")
        at.database.tail._kept = 10  # so that the slow one must read the database
        total = 200

        async def read(after: int, count: int, every: int) -> list[str]:
            found: list[str] = []
            async for event in at.core.subscriptions.follow(after, types=["message.received"]):
                found.append(event.data["id"])
                if len(found) == count:
                    return found
                if every and len(found) % every == 0:
                    await asyncio.sleep(0.002)
            return found

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            fast, slow = group.create_task(read(0, total, 0)), group.create_task(read(0, total, 10))
            for number in range(total):
                await at.tell("a", text(f"A{number}"))
            late = group.create_task(read(0, total, 0))
        assert fast.result() == slow.result() == late.result() == [f"A{number}" for number in range(total)]


async def test_a_follower_without_a_cursor_gets_what_comes(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at, "a")
        stream = at.core.subscriptions.follow()
        await at.tell("a", text("A"))
        async with asyncio.timeout(10):
            event = await anext(stream)
        assert (event.type, event.data["id"]) == (EventType.MESSAGE_RECEIVED, "A")
        assert event == await at.database.read(lambda sql: sql.journal.by_seq(event.seq))


async def test_a_deleted_bots_events_are_gone_from_both_places(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at, "a", "b")
        await at.core.bots.delete("a")
        for left in (await at.events(), at.database.tail.after(0) or []):
            assert [event.type for event in left if event.bot == "a"] == [EventType.BOT_DELETED]
            assert any(event.bot == "b" for event in left)


def test_the_tail_knows_what_it_no_longer_knows():
    tail = JournalTail(5, kept=3)
    assert tail.after(5) == []
    assert tail.after(4) is None
    events = [Event(seq, f"evt_{seq}", EventType.BOT_STATE, now(), BotId("a"), Payload(b"{}")) for seq in range(6, 11)]
    wake = tail.wake
    tail.publish(events)
    assert wake.is_set()
    assert not tail.wake.is_set()
    assert tail.after(6) is None
    assert tail.after(7) == events[2:]
    assert tail.after(9) == events[4:]
    assert tail.after(10) == []


async def test_whoever_hears_of_a_state_and_asks_finds_it(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        stream = at.core.subscriptions.follow(0, types=["bot.state"])
        await at.core.bots.create("a")
        async with asyncio.timeout(10):
            async for event in stream:
                view = at.core.bots.get("a").view
                order = ["starting", "connected", "stopped"]
                assert order.index(view.state.value) >= order.index(event.data["state"])
                if event.data["state"] == "connected":
                    stopping = asyncio.create_task(at.core.bots.get("a").disconnect())
                if event.data["state"] == "stopped":
                    break
        await stopping


async def test_a_page_tells_nothing_that_was_not_published(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at, "a")
        published = await at.core.subscriptions.last_seq()
        await at.database.write(lambda t: t.journal.append(EventType.BOT_STATE, BotId("a"), {}) and t.emitted.clear())
        page = await at.core.subscriptions.page(0)
        assert (page.events[-1].seq, page.next_after) == (published, published)
