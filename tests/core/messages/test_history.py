"""Messages of both directions, a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.core.messages.test_sending import connected, end, say
from tests.core.scripted import World, world
from zapwire.core.messages.history import LOOKED_AT, Filter
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput
from zapwire.model.messages import Message, MessageId, Party
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

BOT = BotId("bot")
EVERYTHING = Filter()


async def pages(at: World, wanted: Filter = EVERYTHING, limit: int = 3) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    found, cursor = [], None
    for _ in range(1000):
        page = await at.core.history.page(BOT, wanted, cursor, limit)
        assert len(page.messages) <= limit
        found += page.messages
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("it never ends")


def words(page: list[dict[str, Any]]) -> list[str]:
    return [(one["sent"] or one["received"])["text"] for one in page]


async def came(at: World, number: int, moment: datetime, chat: str = "1@s.whatsapp.net") -> None:
    def work(transaction: SqliteUnitOfWork) -> None:
        party = transaction.persons.learn(BOT, Party(chat, f"+{chat.partition('@')[0]}"))
        who = party.party
        message = Message(
            MessageId(f"M{number}"), who, who, from_me=False, timestamp=moment, content=TextContent(text=f"in {number}")
        )
        transaction.messages.insert(BOT, message, party, party)

    await at.database.write(work)


async def test_both_directions_newest_first_with_nothing_twice_or_left_out(tmp_path: Path) -> None:
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        now = timestamps.now()
        expected = []
        for number in range(7):
            moment = now - timedelta(minutes=10 - number // 2)  # some at the same moment
            await came(at, number, moment)
            expected.append((moment, f"M{number}", f"in {number}"))
        for number in range(4):
            view = await say(at, f"out {number}", f"+4915100000{number:03}")
            await end(at, view)
            expected.append((view.created_at, view.id, f"out {number}"))
        wanted = [said for *_, said in sorted(expected, reverse=True)]
        for limit in (1, 2, 3, 50):
            assert words(await pages(at, limit=limit)) == wanted
        assert words(await pages(at, Filter(direction="in"))) == [one for one in wanted if one.startswith("in")]
        assert words(await pages(at, Filter(direction="out"))) == [one for one in wanted if one.startswith("out")]
        assert words(await pages(at, Filter(chat="1@s.whatsapp.net"))) == [one for one in wanted if "in" in one]
        assert words(await pages(at, Filter(words="OUT 2"))) == ["out 2"]
        assert words(await pages(at, Filter(states=("sent",)))) == [one for one in wanted if one.startswith("out")]
        assert await pages(at, Filter(kinds=("image",))) == []
        assert await pages(at, Filter(chat="prs_none")) == []
        assert words(await pages(at, Filter(after=now - timedelta(minutes=8)))) == [
            said for moment, _, said in sorted(expected, reverse=True) if moment > now - timedelta(minutes=8)
        ]


async def test_what_is_far_back_is_found_page_by_page(tmp_path: Path) -> None:
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        for number in range(LOOKED_AT + 20):
            await came(at, number, start + timedelta(seconds=number))
        first = await at.core.history.page(BOT, Filter(words="in 3"), None, 500)
        assert first.next is not None
        assert f"in {LOOKED_AT + 10}" not in words(first.messages)
        assert words(await pages(at, Filter(words="in 7"), limit=5))[-1] == "in 7"


@pytest.mark.parametrize(
    "cursor", ["", "x", "W10", "WzEsMl0", "bnVsbA", "\u00fc", "W1tb" * 3000, "WzEsICJcdWQ4MDAiXQ", "WzFlOTk5LCAiYSJd"]
)
async def test_a_cursor_that_is_none_is_refused(tmp_path: Path, cursor: str) -> None:
    async with world(tmp_path / "db", linked=True) as at:
        with pytest.raises(InvalidInput) as caught:
            await at.core.history.page(BOT, EVERYTHING, cursor, 3)
        assert caught.value.field == "before"
