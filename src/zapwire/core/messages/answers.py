"""What a message that came in answers: a vote in a poll, a choice of a list.

The answer is told in the words of what was asked, however the person gave it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from zapwire.core.messages.content.fallback import choice_of, choices_of
from zapwire.core.messages.references import References
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.base import Choice
from zapwire.model.content.changes import DeleteContent
from zapwire.model.content.interactive import ButtonsContent, ListContent, PollContent, PollVoteContent, ReplyContent
from zapwire.model.content.kinds import AnyContent, EditContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import ZapwireError
from zapwire.model.jid import GROUP_SERVER
from zapwire.model.messages import KnownParty, Message, MessageRef, PollCount
from zapwire.store.ports import UnitOfWork, View

OPEN_FOR: Final = timedelta(days=7)
"""How long after a list, if nothing else was sent since, a number or the words of a row count as an answer to it."""
OWN: Final = ""
"""The bot's own account among the voters of a poll."""


def resolve(transaction: UnitOfWork, bot: BotId, message: Message, chat: KnownParty) -> Message:
    """*message*, of *chat*, with what it chooses; a vote is counted."""
    content = message.content
    if isinstance(content, PollVoteContent):
        return _vote(transaction, bot, message, content)
    if isinstance(content, ReplyContent):
        known = _chosen_of(view=transaction, bot=bot, chat=chat, content=content)
        return message if known is None else _chosen(message, known)
    if isinstance(content, TextContent) and not message.from_me:
        found = _list_answered(transaction, bot, chat, content)
        return message if found is None else _chosen(message, found)
    return message


def may_change(view: View, bot: BotId, message: Message) -> bool:
    """May its sender edit or delete the message that it is about? Of one that is not known: yes. An admin of a group
    may delete what others wrote; who is one is not known here.
    """
    content = message.content
    if not isinstance(content, EditContent | DeleteContent):
        return True
    if isinstance(content, DeleteContent) and message.chat.jid.endswith(f"@{GROUP_SERVER}"):
        return True
    try:
        target = References(view, bot, message.chat.jid).find(content.message_id, "message_id")
    except ZapwireError:
        return True
    if target.from_me or message.from_me:
        return target.from_me and message.from_me
    author = target.sender
    return author is not None and (author.jid == message.sender.jid or author.id == message.sender.id is not None)


def _list_answered(view: View, bot: BotId, chat: KnownParty, content: TextContent) -> Choice | None:
    asked: AnyContent | None = None
    if content.quoted is not None:
        asked = _asked(view, bot, chat, content.quoted.message_id)
    else:
        last = view.outbox.last_sent(bot, chat, timestamps.now() - OPEN_FOR)
        asked = None if last is None else last.content
    return None if asked is None else choice_of(asked, content.text)


def _chosen_of(view: View, bot: BotId, chat: KnownParty, content: ReplyContent) -> Choice | None:
    """The row or button of ours with that id, with our words: its sender may have written any."""
    if content.quoted is None:
        return None
    asked = _asked(view, bot, chat, content.quoted.message_id)
    return next((one for one in choices_of(asked) if one.id == content.id), None) if asked is not None else None


def _asked(view: View, bot: BotId, chat: KnownParty, whatsapp_id: str) -> AnyContent | None:
    """What we sent to *chat* with that id."""
    found = view.outbox.by_whatsapp_id(bot, whatsapp_id)
    return found.content if found is not None and found.to.jid in chat.addresses else None


def _vote(transaction: UnitOfWork, bot: BotId, message: Message, content: PollVoteContent) -> Message:
    try:
        poll = References(transaction, bot, message.chat.jid).find(content.message_id, "message_id")
    except ZapwireError:
        return message
    if message.vote is None:
        return message
    asked = poll.content
    hashes = {hashlib.sha256(name.encode()).digest(): name for name in options_of(asked)}
    chosen = tuple(hashes[one] for one in message.vote if one in hashes)
    voter = OWN if message.from_me else message.sender.id or message.sender.jid
    if len(chosen) > _selectable(asked):
        return message  # WhatsApp's own apps do not count it either
    transaction.poll_votes.cast(bot, poll.key, voter, chosen, message.timestamp)
    message = replace(
        message,
        content=content.model_copy(update={"options": chosen}),
        poll=count(transaction, bot, poll),
    )
    found = [one for one in choices_of(asked) if one.title in chosen]
    return _chosen(message, found[0]) if len(found) == 1 else message


def options_of(asked: AnyContent) -> tuple[str, ...]:
    """What can be voted for: of a poll, or of what was sent as one."""
    if isinstance(asked, PollContent):
        return asked.options
    return tuple(one.title for one in choices_of(asked))


def _selectable(asked: AnyContent) -> int:
    """How many options one person may choose."""
    if isinstance(asked, PollContent):
        return asked.selectable or len(asked.options)
    return 1


def voted(transaction: UnitOfWork, bot: BotId, chat: str, vote: PollVoteContent, moment: datetime) -> None:
    """Count a vote of the bot's own account in the poll of *chat* (a JID), which WhatsApp has taken."""
    with suppress(ZapwireError):  # the poll is kept no longer
        poll = References(transaction, bot, chat).find(vote.message_id, "message_id")
        transaction.poll_votes.cast(bot, poll.key, OWN, tuple(vote.options or ()), moment)


def count(view: View, bot: BotId, poll: MessageRef) -> PollCount | None:
    """How a poll stands; None when that is none."""
    asked, options = poll.content, options_of(poll.content)
    if not options:
        return None
    votes = view.poll_votes.of(bot, poll.key)
    number = Counter(one for chosen in votes for one in {*chosen})
    question = asked.question if isinstance(asked, PollContent) else _text(asked)
    return PollCount(
        poll.whatsapp_id, question, tuple((one, number[one]) for one in options), sum(1 for one in votes if one)
    )


def _text(asked: AnyContent) -> str:
    return asked.text if isinstance(asked, ListContent | ButtonsContent) else ""


def _chosen(message: Message, choice: Choice) -> Message:
    return replace(message, content=message.content.model_copy(update={"choice": choice}))
