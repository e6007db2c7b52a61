from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from zapwire.errors import NotConnected
from zapwire.model import Message, MessageId, Party
from zapwire.transport.whatsapp_web.names import complete
from zapwire.transport.whatsapp_web.protos import neonize

KNOWN = {"222": "4915510000002", "4915510000003": "333"}


class Store:
    """In place of the library."""

    def phone_of_lid(self, jid: bytes) -> bytes:
        user = KNOWN.get(neonize.JID.FromString(jid).User, "")
        found = neonize.JID(User=user, RawAgent=0, Device=0, Integrator=0, Server="x")
        return neonize.GetJIDFromStoreReturnFunction(Jid=found).SerializeToString()

    lid_of_phone = phone_of_lid


class Session:
    connected = True

    async def call(self, function, *arguments):
        if not self.connected:
            raise NotConnected("stopped")
        return function(*arguments)


MESSAGE = Message(
    MessageId("A"), Party("222@lid", None, "222@lid"), Party("4915510000003@s.whatsapp.net", "+4915510000003"),
    from_me=False, timestamp=datetime.now(UTC), type="text", content={},
)  # fmt: skip


async def test_missing_names_come_from_the_store():
    found = await complete(MESSAGE, Session(), Store())
    assert found.chat.phone == "+4915510000002"
    assert found.sender.lid == "333@lid"


async def test_unknown_names_and_groups_stay_as_they_are():
    message = replace(MESSAGE, chat=Party("1@g.us"), sender=Party("9@lid", None, "9@lid"))
    assert await complete(message, Session(), Store()) == message


async def test_a_message_is_kept_when_the_bot_is_being_stopped():
    session = Session()
    session.connected = False
    assert await complete(MESSAGE, session, Store()) == MESSAGE
