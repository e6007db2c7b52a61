from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from zapwire.model.content.base import Person, Quoted
from zapwire.model.content.kinds import EditContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import NotConnected
from zapwire.model.messages import Message, MessageId, Party
from zapwire.transport.whatsapp_web.engine.call_pool import NotBegun
from zapwire.transport.whatsapp_web.inbound.lid_lookup import LidLookup

KNOWN = {"222": "4915510000002", "4915510000003": "333"}


class Store:
    """In place of the store."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def phone_of_lid(self, user: str, within: float) -> str | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return KNOWN.get(user)

    lid_of_phone = phone_of_lid


MESSAGE = Message(
    MessageId("A"), Party("222@lid", None, "222@lid"), Party("4915510000003@s.whatsapp.net", "+4915510000003"),
    from_me=False, timestamp=datetime.now(UTC), content=TextContent(text="hi"),
)  # fmt: skip


async def test_missing_names_come_from_the_store_and_are_asked_for_once():
    store = Store()
    names = LidLookup(store)
    for _ in range(3):
        found = await names.complete(MESSAGE)
        assert found.chat.phone == "+4915510000002"
        assert found.sender.lid == "333@lid"
    assert store.asked == 2


async def test_whom_a_message_names_is_known_too_and_a_thousand_strangers_are_not_asked_for():
    known = Person(jid="222@lid", phone=None, lid="222@lid")
    strangers = [Person(jid=f"{n}@lid", phone=None, lid=f"{n}@lid") for n in range(1000, 2000)]
    quoted = Quoted(message_id="Q", sender=known, text=None)
    store = Store()
    message = replace(MESSAGE, content=TextContent(text="hi", quoted=quoted, mentions=(known, *strangers)))
    found = await LidLookup(store).complete(message)
    assert found.content.quoted.sender.phone == "+4915510000002"
    assert found.content.mentions[0].phone == "+4915510000002"
    assert len(found.content.mentions) == 1001
    assert store.asked < 12
    edit = EditContent(message_id="E", type="text", content=TextContent(text="ho", quoted=quoted, mentions=(known,)))
    edited = (await LidLookup(Store()).complete(replace(MESSAGE, content=edit))).content.content
    assert edited.quoted.sender.phone == edited.mentions[0].phone == "+4915510000002"
    nobody = replace(MESSAGE, content=TextContent(text="hi", quoted=Quoted(message_id="Q", sender=None, text=None)))
    assert (await LidLookup(store).complete(nobody)).content == nobody.content


async def test_unknown_names_and_groups_stay_as_they_are():
    message = replace(MESSAGE, chat=Party("1@g.us"), sender=Party("9@lid", None, "9@lid"))
    names = LidLookup(Store())
    assert await names.complete(message) == message


async def test_only_so_many_names_are_remembered(monkeypatch):
    monkeypatch.setattr("zapwire.transport.whatsapp_web.inbound.lid_lookup.REMEMBERED", 1)
    store = Store()
    names = LidLookup(store)
    for _ in range(2):
        assert (await names.complete(MESSAGE)).chat.phone == "+4915510000002"
    assert store.asked == 4
    assert len(names._known) == 1


async def test_that_there_is_no_other_name_is_remembered_for_a_while(monkeypatch):
    stranger = replace(MESSAGE, chat=Party("9@lid", None, "9@lid"), sender=Party("9@lid", None, "9@lid"))
    store = Store()
    names = LidLookup(store)
    for _ in range(3):
        assert await names.complete(stranger) == stranger
    assert store.asked == 1
    monkeypatch.setattr("zapwire.transport.whatsapp_web.inbound.lid_lookup.NOT_KNOWN_FOR", 0.0)
    monkeypatch.setitem(KNOWN, "9", "4915510000009")
    assert (await names.complete(stranger)).chat.phone == "+4915510000009"


@pytest.mark.parametrize("error", [NotConnected("stopped"), NotBegun(), TimeoutError()])
async def test_a_message_goes_on_without_its_names_and_the_next_ones_do_not_wait_again(error: Exception):
    store = Store(error)
    names = LidLookup(store)
    for _ in range(3):
        assert await names.complete(MESSAGE) == MESSAGE
    assert store.asked == 1
