"""A message that cannot be told is told as such once, and never in place of the message itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness.keys import KEYS
from zapwire.core import intake
from zapwire.errors import StoreError, Unstorable
from zapwire.events import EventType
from zapwire.model import BotId, Message, MessageId, Origin, Party, Undecryptable, UndecryptableReason
from zapwire.store import journal
from zapwire.store.db import Database
from zapwire.store.turns import Turn

BOT = BotId("shop")
ANNA = Party("222@lid", "+4915510000002", "222@lid")
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def message(number: str = "A", **given: Any) -> Message:
    values = {"type": "text", "content": {"text": "hi"}, "push_name": "Anna", **given}
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
    events, *_ = await database.read(lambda sql: journal.read(sql, 0, 100))
    return [(event.type, event.data["id"]) for event in events]


CANNOT, RECEIVED = EventType.MESSAGE_UNDECRYPTABLE, EventType.MESSAGE_RECEIVED


async def test_it_is_told_once_and_the_message_itself_still_follows(database: Database):
    for _ in range(3):
        await intake.withheld(database, BOT, withheld(), Turn(None))
    assert await intake.received(database, BOT, message(), Turn(None))
    assert not await intake.received(database, BOT, message(), Turn(None))
    await intake.withheld(database, BOT, withheld(), Turn(None))
    assert await told(database) == [(CANNOT, "A"), (RECEIVED, "A")]


@pytest.mark.parametrize("group", [None, Party("120363000000000001@g.us")])
async def test_a_message_follows_its_placeholder_whichever_address_it_names(database: Database, group: Party | None):
    """As when the placeholder told only the LID, and the copy that the sender's device was asked for tells both."""
    by_lid, by_phone = Party("222@lid", None, "222@lid"), Party("4915510000002@s.whatsapp.net", "+4915510000002")
    told_as = [replace(withheld(), chat=group or party, sender=party) for party in (by_lid, ANNA, by_phone)]
    await intake.withheld(database, BOT, told_as[0], Turn(None))
    assert await intake.received(database, BOT, replace(message(), chat=group or ANNA), Turn(None))
    for again in told_as:
        await intake.withheld(database, BOT, again, Turn(None))
        copy = replace(message(), chat=again.chat, sender=again.sender)
        assert not await intake.received(database, BOT, copy, Turn(None))
    assert await told(database) == [(CANNOT, "A"), (RECEIVED, "A")]


async def test_not_when_the_message_was_told(database: Database):
    assert await intake.received(database, BOT, message(), Turn(None))
    await intake.withheld(database, BOT, withheld(), Turn(None))
    assert await told(database) == [(RECEIVED, "A")]


async def test_what_has_no_id_is_told_each_time(database: Database):
    unreadable = withheld(None, UndecryptableReason.UNREADABLE)
    nothing = Undecryptable(UndecryptableReason.INTERNAL_ERROR)
    for one in (unreadable, unreadable, nothing):
        await intake.withheld(database, BOT, one, Turn(None))
    assert await told(database) == [(CANNOT, None)] * 3


@pytest.mark.parametrize("given", [{"type": b"\xff"}, {"type": None}, {"type": ["text"]}])
async def test_values_that_the_database_refuses_are_no_failing_database(database: Database, given: dict[str, Any]):
    with pytest.raises(Unstorable):
        await intake.received(database, BOT, message(**given), Turn(None))
    assert await intake.received(database, BOT, message("B"), Turn(None))


async def test_a_closed_database_refuses_nothing_for_good(database: Database):
    database._closing = True
    with pytest.raises(StoreError) as raised:
        await intake.received(database, BOT, message(), Turn(None))
    assert not isinstance(raised.value, Unstorable)
    database._closing = False
