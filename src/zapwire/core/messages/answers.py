"""What a message that came in answers: a vote in a poll, a choice of a list.

The answer is told in the words of what was asked, however the person gave it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Final

from zapwire.core.messages.content.fallback import choice_of, choices_of
from zapwire.core.messages.references import References
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.base import Choice
from zapwire.model.content.interactive import ButtonsContent, ListContent, PollContent, PollVoteContent, ReplyContent
from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import ZapwireError
from zapwire.model.messages import KnownParty, Message, PollCount
from zapwire.store.ports import UnitOfWork, View

OPEN_FOR: Final = timedelta(days=7)
"""How long after a list a number or the words of a row count as an answer to it."""
OWN: Final = ""
"""The bot's own account among the voters of a poll."""


def resolve(transaction: UnitOfWork, bot: BotId, message: Message, chat: KnownParty) -> Message:
    """*message*, of *chat*, with what it chooses; a vote is counted."""
    content = message.content
    if isinstance(content, PollVoteContent):
        return _vote(transaction, bot, message, content)
    if isinstance(content, ReplyContent):
        return _chosen(message, Choice(id=content.id, title=content.text))
    if isinstance(content, TextContent) and not message.from_me:
        found = _list_answered(transaction, bot, chat, content)
        return message if found is None else _chosen(message, found)
    return message


def _list_answered(view: View, bot: BotId, chat: KnownParty, content: TextContent) -> Choice | None:
    asked: AnyContent | None = None
    if content.quoted is not None:
        quoted = view.outbox.by_whatsapp_id(bot, content.quoted.message_id)
        asked = None if quoted is None else quoted.content
    else:
        last = view.outbox.last_list(bot, chat, timestamps.now() - OPEN_FOR)
        asked = None if last is None else last.content
    return None if asked is None else choice_of(asked, content.text)


def _vote(transaction: UnitOfWork, bot: BotId, message: Message, content: PollVoteContent) -> Message:
    try:
        asked = References(transaction, bot, message.chat.jid).find(content.message_id, "message_id").content
    except ZapwireError:
        return message
    if message.vote is None:
        return message
    hashes = {hashlib.sha256(name.encode()).digest(): name for name in options_of(asked)}
    chosen = tuple(hashes[one] for one in message.vote if one in hashes)
    voter = OWN if message.from_me else message.sender.id or message.sender.jid
    transaction.poll_votes.cast(bot, content.message_id, voter, chosen, message.timestamp)
    message = replace(
        message,
        content=content.model_copy(update={"options": chosen}),
        poll=count(transaction, bot, content.message_id, asked),
    )
    found = [one for one in choices_of(asked) if one.title in chosen]
    return _chosen(message, found[0]) if len(found) == 1 else message


def options_of(asked: AnyContent) -> tuple[str, ...]:
    """What can be voted for: of a poll, or of what was sent as one."""
    if isinstance(asked, PollContent):
        return asked.options
    return tuple(one.title for one in choices_of(asked))


def count(view: View, bot: BotId, poll: str, asked: AnyContent) -> PollCount | None:
    """How the poll with WhatsApp's id *poll* stands, which asks what *asked* says; None when that is no poll."""
    options = options_of(asked)
    if not options:
        return None
    votes = view.poll_votes.of(bot, poll)
    number = Counter(one for chosen in votes for one in {*chosen})
    question = asked.question if isinstance(asked, PollContent) else _text(asked)
    return PollCount(poll, question, tuple((one, number[one]) for one in options), sum(1 for one in votes if one))


def _text(asked: AnyContent) -> str:
    return asked.text if isinstance(asked, ListContent | ButtonsContent) else ""


def _chosen(message: Message, choice: Choice) -> Message:
    return replace(message, content=message.content.model_copy(update={"choice": choice}))
