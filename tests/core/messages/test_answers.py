"""What messages about other messages change: who may edit, whose vote counts where."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.core.scripted import World, world
from zapwire.model.bots import BotState
from zapwire.model.content.changes import DeleteContent
from zapwire.model.content.interactive import PollContent, PollVoteContent
from zapwire.model.content.kinds import AnyContent, EditContent
from zapwire.model.content.text import TextContent
from zapwire.model.messages import Message, MessageId, MessageState, Party
from zapwire.transport.protocol import Received

GROUP, OTHER_GROUP = Party("120363000000000001@g.us"), Party("120363000000000002@g.us")
ANA, BOB = (Party(f"800000000000{n}@lid", f"+491512345678{n}", f"800000000000{n}@lid") for n in (1, 2))


def said(whatsapp_id: str, content: AnyContent, by: Party, chat: Party = GROUP, **more: Any) -> Received:
    message = Message(MessageId(whatsapp_id), chat, by, False, datetime.now(UTC), content, **more)  # noqa: FBT003
    return Received(message)


async def last(at: World) -> Any:
    return (await at.events())[-1]


async def test_only_its_author_edits_a_message(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        await at.tell("bot", said("M1", TextContent(text="ten euros"), ANA))
        own = await at.core.outbox.submit("bot", GROUP.jid, TextContent(text="ours"))
        ours = (await at.core.outbox.wait("bot", own.id, 10)).whatsapp_id
        for number, (target, by, event) in enumerate(
            (
                ("M1", BOB, "message.received"),
                ("M1", ANA, "message.edited"),
                (ours, BOB, "message.received"),
                ("NEVER SEEN", BOB, "message.edited"),
            )
        ):
            edit = EditContent(message_id=str(target), type="text", content=TextContent(text="one euro"))
            await at.tell("bot", said(f"E{number}", edit, by))
            told = await last(at)
            assert (told.type, told.data["type"]) == (event, "edit"), (target, by)
        await at.tell("bot", said("D1", DeleteContent(message_id="M1"), BOB))
        assert (await last(at)).type == "message.deleted", "he may be an admin of the group"
        await at.tell("bot", said("M2", TextContent(text="hi"), ANA, ANA))
        await at.tell("bot", said("D2", DeleteContent(message_id="M2"), BOB, ANA))
        assert (await last(at)).type == "message.received"
        await at.tell("bot", said("D3", DeleteContent(message_id="M2"), ANA, ANA))
        assert (await last(at)).type == "message.deleted"


async def test_votes_count_in_the_poll_of_their_chat_and_no_more_than_may_be_chosen(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        poll = PollContent(question="When?", options=("now", "later"), selectable=1)

        async def vote(by: Party, chat: Party, *options: str) -> Any:
            vote.number += 1
            hashes = tuple(hashlib.sha256(one.encode()).digest() for one in options)
            content = PollVoteContent(message_id="P", options=None)
            await at.tell("bot", said(f"V{vote.number}", content, by, chat, vote=hashes))
            return (await last(at)).data.get("poll")

        vote.number = 0
        for chat in (GROUP, OTHER_GROUP):
            await at.tell("bot", said("P", poll, ANA, chat))
        assert [one["votes"] for one in (await vote(ANA, GROUP, "now"))["options"]] == [1, 0]
        assert [one["votes"] for one in (await vote(BOB, OTHER_GROUP, "now"))["options"]] == [1, 0]
        assert await vote(BOB, GROUP, "now", "later") is None
        own = await at.core.outbox.submit("bot", GROUP.jid, PollVoteContent(message_id="P", options=("later",)))
        assert (await at.core.outbox.wait("bot", own.id, 10)).state is MessageState.SENT
        standing = await vote(BOB, GROUP, "now")
        assert [one["votes"] for one in standing["options"]] == [2, 1]
        assert standing["voters"] == 3
