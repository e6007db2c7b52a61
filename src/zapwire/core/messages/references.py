"""Which earlier message another one is about: looked up when it is taken, and again when it is sent, as a message
of ours has WhatsApp's id only once it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from zapwire.core.messages.content.fallback import shown_as
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.base import Person, Quoted
from zapwire.model.content.changes import DeleteContent, KeepContent, PinContent, ReactionContent
from zapwire.model.content.interactive import Fallback, PollContent, PollVoteContent
from zapwire.model.content.kinds import MEDIA, AnyContent, EditContent
from zapwire.model.content.media import MediaContent
from zapwire.model.content.places_and_people import ContactContent, LocationContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Conflict, InvalidInput, NotFound, TooLate
from zapwire.model.jid import GROUP_SERVER
from zapwire.model.media import MediaFile
from zapwire.model.messages import MessageRef, MessageState, Outgoing, Party
from zapwire.store.ports import View

OUR_ID: Final = "msg_"
EDIT_WINDOW: Final = timedelta(minutes=15)
DELETE_WINDOW: Final = timedelta(hours=60)
"""WhatsApp's: later a change has no effect with the recipient."""
QUOTED: Final = 200
"""Characters of a quoted text that are shown."""
TIMED: Final = frozenset({TextContent.kind, LocationContent.kind, ContactContent.kind, PollContent.kind, *MEDIA})
"""Kinds that disappear by the timer of their chat."""
_NEVER_SENT: Final = (MessageState.FAILED, MessageState.UNKNOWN, MessageState.CANCELLED, MessageState.EXPIRED)
_ABOUT: Final = (ReactionContent, EditContent, DeleteContent, PinContent, KeepContent, PollVoteContent)


class NotSentYet(Conflict):
    """The message that another one is about has no id at WhatsApp yet."""


@dataclass(frozen=True, slots=True)
class References:
    """Looks up references for one chat of a bot."""

    view: View
    bot: BotId
    chat: str
    """JID."""

    def outgoing(self, content: AnyContent, fallback: Fallback = "text") -> Outgoing:
        """*content* as it is handed to a transport. Raises `InvalidInput`, `NotFound`, `TooLate` and `NotSentYet` that
        name the field.
        """
        target = quoted = None
        if isinstance(content, _ABOUT):
            target = self.find(content.message_id, "message_id")
            _check(content, target, in_group=self.chat.endswith(f"@{GROUP_SERVER}"))
        if content.quoted is not None:
            quoted = self.find(content.quoted.message_id, "reply_to")
        shown = self._timed(shown_as(content, fallback))
        return Outgoing(self.chat, shown, target, quoted, self._file(content))

    def _timed(self, content: AnyContent) -> AnyContent:
        """*content* with the disappearing timer of the chat."""
        if content.kind not in TIMED:
            return content
        chat = self.view.persons.look_up(self.bot, Party(self.chat)).party.id
        seconds = 0 if chat is None else self.view.chat_timers.of(self.bot, chat)
        return content.model_copy(update={"expires_in": seconds}) if seconds else content

    def _file(self, content: AnyContent) -> MediaFile | None:
        if not isinstance(content, MediaContent) or content.media is None:
            return None
        file = self.view.media.of_bot(self.bot, content.media)
        if file is None:
            raise NotFound("its file is kept no longer", field="media.id")
        return file

    def find(self, message_id: str, field: str) -> MessageRef:
        """The message of this chat with that id, ours or WhatsApp's. Raises `NotFound`, `NotSentYet`."""
        found = self._ours(message_id, field) or self._received(message_id)
        if found is None:
            raise NotFound("no such message in this chat: give its id, ours or WhatsApp's", field=field)
        if not found.whatsapp_id:
            raise NotSentYet("the message that this one is about is not sent yet", field=field)
        return found

    def _ours(self, message_id: str, field: str) -> MessageRef | None:
        if message_id.startswith(OUR_ID):
            view = self.view.outbox.get(self.bot, message_id)
        else:
            view = self.view.outbox.by_whatsapp_id(self.bot, message_id)
        if view is None or not self._is_here(view.to):
            return None
        if view.state in _NEVER_SENT and view.whatsapp_id is None:
            raise NotFound(f"that message was not sent: it is {view.state}", field=field)
        if view.send_at is not None:
            raise Conflict("that message is scheduled, and not sent before its time", field=field)
        sent_at = view.sent_at or view.created_at
        return MessageRef(view.whatsapp_id or "", True, None, sent_at, view.content, view.id)  # noqa: FBT003 - from_me

    def _is_here(self, to: Party) -> bool:
        here = self.view.persons.look_up(self.bot, Party(self.chat))
        return to.jid in here.addresses or (to.id is not None and to.id == here.party.id)

    def _received(self, whatsapp_id: str) -> MessageRef | None:
        chat = self.view.persons.look_up(self.bot, Party(self.chat))
        found = self.view.messages.find(self.bot, chat, whatsapp_id)
        if found is None:
            return None
        sender = None if found.from_me else self.view.persons.complete(self.bot, found.sender)
        key = f"{chat.party.id or chat.party.jid}/{whatsapp_id}"
        return MessageRef(whatsapp_id, found.from_me, sender, found.timestamp, found.content, key)


def with_quoted(content: AnyContent, outgoing: Outgoing) -> AnyContent:
    """*content* with what it answers in short, as it is stored and shown."""
    if content.quoted is None or outgoing.quoted is None:
        return content
    said = outgoing.quoted.content
    words = next((one for name in ("text", "caption", "question") if (one := getattr(said, name, None))), None)
    if isinstance(words, str) and len(words) > QUOTED:
        words = f"{words[: QUOTED - 1]}\u2026"
    by = outgoing.quoted.sender
    sender = None if by is None else Person(jid=by.jid, phone=by.phone, lid=by.lid)
    quoted = Quoted(message_id=content.quoted.message_id, sender=sender, text=words)
    return content.model_copy(update={"quoted": quoted})


def _check(content: AnyContent, target: MessageRef, *, in_group: bool) -> None:
    """Can *target* be changed like that?"""
    if isinstance(content, EditContent):
        if not target.from_me:
            raise InvalidInput("only messages of this account can be edited", field="message_id")
        if not isinstance(target.content, TextContent):
            raise InvalidInput("only texts can be edited", field="message_id")
        _in_time(target.sent_at, EDIT_WINDOW, "edits a message at most 15 minutes after it was sent")
    if isinstance(content, DeleteContent):
        if not target.from_me and not in_group:
            raise InvalidInput("only messages of this account can be deleted for everybody", field="message_id")
        _in_time(target.sent_at, DELETE_WINDOW, "deletes a message for everybody at most 60 hours after it was sent")
    if isinstance(content, PollVoteContent):
        if not isinstance(target.content, PollContent):
            raise InvalidInput("not a poll", field="message_id")
        if len(content.options or ()) > (target.content.selectable or len(target.content.options)):
            raise InvalidInput(f"only {target.content.selectable} can be chosen", field="options")
        unknown = [one for one in content.options or () if one not in target.content.options]
        if unknown:
            raise InvalidInput("not an option of the poll", field="options")


def _in_time(sent_at: datetime, window: timedelta, what: str) -> None:
    if timestamps.now() - sent_at > window:
        raise TooLate(f"too late: WhatsApp {what}", field="message_id")
