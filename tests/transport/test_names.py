from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from zapwire.errors import NotConnected
from zapwire.model import Message, MessageId, Party
from zapwire.transport.whatsapp_web.exports import BadArgument
from zapwire.transport.whatsapp_web.names import Names
from zapwire.transport.whatsapp_web.protos import neonize
from zapwire.transport.whatsapp_web.threads import NotBegun

KNOWN = {"222": "4915510000002", "4915510000003": "333"}


class Store:
    """In place of the library."""

    def phone_of_lid(self, jid: bytes) -> bytes:
        user = KNOWN.get(neonize.JID.FromString(jid).User, "")
        found = neonize.JID(User=user, RawAgent=0, Device=0, Integrator=0, Server="x")
        return neonize.GetJIDFromStoreReturnFunction(Jid=found).SerializeToString()

    lid_of_phone = phone_of_lid


class Session:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def look_up(self, function, *arguments, within):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return function(*arguments)


MESSAGE = Message(
    MessageId("A"), Party("222@lid", None, "222@lid"), Party("4915510000003@s.whatsapp.net", "+4915510000003"),
    from_me=False, timestamp=datetime.now(UTC), type="text", content={},
)  # fmt: skip


async def test_missing_names_come_from_the_store_and_are_asked_for_once():
    session = Session()
    names = Names(session, Store())
    for _ in range(3):
        found = await names.complete(MESSAGE)
        assert found.chat.phone == "+4915510000002"
        assert found.sender.lid == "333@lid"
    assert session.asked == 2


async def test_whom_a_message_names_is_known_too_and_a_thousand_strangers_are_not_asked_for():
    known = {"jid": "222@lid", "phone": None, "lid": "222@lid"}
    strangers = [{"jid": f"{n}@lid", "phone": None, "lid": f"{n}@lid"} for n in range(1000, 2000)]
    content = {"text": "hi", "quoted": {"message_id": "Q", "sender": dict(known), "text": None}}
    session = Session()
    message = replace(MESSAGE, content={**content, "mentions": [dict(known), *strangers]})
    found = await Names(session, Store()).complete(message)
    assert found.content["quoted"]["sender"]["phone"] == "+4915510000002"
    assert found.content["mentions"][0]["phone"] == "+4915510000002"
    assert len(found.content["mentions"]) == 1001
    assert session.asked < 12
    nobody = replace(MESSAGE, content={"quoted": {"message_id": "Q", "sender": None, "text": None}})
    assert (await Names(session, Store()).complete(nobody)).content == nobody.content


async def test_unknown_names_and_groups_stay_as_they_are():
    message = replace(MESSAGE, chat=Party("1@g.us"), sender=Party("9@lid", None, "9@lid"))
    names = Names(Session(), Store())
    assert await names.complete(message) == message


async def test_only_so_many_names_are_remembered(monkeypatch):
    monkeypatch.setattr("zapwire.transport.whatsapp_web.names.REMEMBERED", 1)
    session = Session()
    names = Names(session, Store())
    for _ in range(2):
        assert (await names.complete(MESSAGE)).chat.phone == "+4915510000002"
    assert session.asked == 4
    assert len(names._known) == 1


async def test_an_odd_address_costs_only_its_own_name():
    session = Session(BadArgument("no address"))
    names = Names(session, Store())
    assert await names.complete(MESSAGE) == MESSAGE
    session.error = None
    assert (await names.complete(MESSAGE)).chat.phone == "+4915510000002"


@pytest.mark.parametrize("error", [NotConnected("stopped"), NotBegun(), TimeoutError()])
async def test_a_message_goes_on_without_its_names_and_the_next_ones_do_not_wait_again(error: Exception):
    session = Session(error)
    names = Names(session, Store())
    for _ in range(3):
        assert await names.complete(MESSAGE) == MESSAGE
    assert session.asked == 1
