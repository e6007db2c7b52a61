"""A message that cannot be told is told as such once, and never in place of the message itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness.keys import KEYS
from zapwire.core.messages import inbox
from zapwire.model.bots import BotId
from zapwire.model.content.text import TextContent
from zapwire.model.errors import StoreError, Unstorable
from zapwire.model.events import EventType
from zapwire.model.messages import Message, MessageId, Origin, Party, Undecryptable, UndecryptableReason
from zapwire.store.ordered_writes import OrderedWrites
from zapwire.store.sqlite.database import Database

BOT = BotId("shop")
ANNA = Party("222@lid", "+4915510000002", "222@lid")
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def message(number: str = "A", **given: Any) -> Message:
    values = {"content": TextContent(text="hi"), "push_name": "Anna", **given}
    return Message(MessageId(number), ANNA, ANNA, from_me=False, timestamp=MOMENT, **values)


def withheld(
    number: str | None = "A", reason: UndecryptableReason = UndecryptableReason.NOT_DECRYPTED
) -> Undecryptable:
    known = MessageId(number) if number is not None else None
    return Undecryptable(reason, known, ANNA, ANNA, timestamp=MOMENT, origin=Origin.PERSON)


@pytest.fixture
async def database(tmp_path: Path):
    async with Database.open(tmp_path / "zapwire.db", KEYS) as opened:
        await opened.write(
            lambda t: t.sql.execute("INSERT INTO bots (id, autostart, created_at) VALUES ('shop', 1, 0)")
        )
        yield opened


async def told(database: Database) -> list[tuple[EventType, Any]]:
    events, *_ = await database.read(lambda sql: sql.journal.read(0, 100))
    return [(event.type, event.data["id"]) for event in events]


CANNOT, RECEIVED = EventType.MESSAGE_UNDECRYPTABLE, EventType.MESSAGE_RECEIVED


async def test_it_is_told_once_and_the_message_itself_still_follows(database: Database):
    for _ in range(3):
        await inbox.withheld(OrderedWrites(database, "bot", 0.01), BOT, withheld())
    assert await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, message())
    assert not await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, message())
    await inbox.withheld(OrderedWrites(database, "bot", 0.01), BOT, withheld())
    assert await told(database) == [(CANNOT, "A"), (RECEIVED, "A")]


@pytest.mark.parametrize("group", [None, Party("120363000000000001@g.us")])
async def test_a_message_follows_its_placeholder_whichever_address_it_names(database: Database, group: Party | None):
    """As when the placeholder told only the LID, and the copy that the sender's device was asked for tells both."""
    by_lid, by_phone = Party("222@lid", None, "222@lid"), Party("4915510000002@s.whatsapp.net", "+4915510000002")
    told_as = [replace(withheld(), chat=group or party, sender=party) for party in (by_lid, ANNA, by_phone)]
    await inbox.withheld(OrderedWrites(database, "bot", 0.01), BOT, told_as[0])
    assert await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, replace(message(), chat=group or ANNA))
    for again in told_as:
        await inbox.withheld(OrderedWrites(database, "bot", 0.01), BOT, again)
        copy = replace(message(), chat=again.chat, sender=again.sender)
        assert not await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, copy)
    assert await told(database) == [(CANNOT, "A"), (RECEIVED, "A")]


async def test_not_when_the_message_was_told(database: Database):
    assert await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, message())
    await inbox.withheld(OrderedWrites(database, "bot", 0.01), BOT, withheld())
    assert await told(database) == [(RECEIVED, "A")]


async def test_what_has_no_id_is_told_each_time(database: Database):
    unreadable = withheld(None, UndecryptableReason.UNREADABLE)
    nothing = Undecryptable(UndecryptableReason.INTERNAL_ERROR)
    for one in (unreadable, unreadable, nothing):
        await inbox.withheld(OrderedWrites(database, "bot", 0.01), BOT, one)
    assert await told(database) == [(CANNOT, None)] * 3


@pytest.mark.parametrize("value", [b"\xff", None, ["text"]])
async def test_values_that_the_database_refuses_are_no_failing_database(database: Database, value: Any):
    class Odd(TextContent):
        kind = value

    with pytest.raises(Unstorable):
        await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, message(content=Odd(text="hi")))
    assert await inbox.received(OrderedWrites(database, "bot", 0.01), BOT, message("B"))


async def test_a_closed_database_refuses_nothing_for_good(database: Database):
    database._closing = True
    with pytest.raises(StoreError) as raised:
        await database.write(lambda unit: unit.messages.came_from(BOT, "1@lid"))
    assert not isinstance(raised.value, Unstorable)
    database._closing = False
