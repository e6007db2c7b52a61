"""A message that is sent on to another chat."""

from __future__ import annotations

from typing import Final

from zapwire.core.messages.references import OUR_ID, References
from zapwire.model.bots import BotId
from zapwire.model.content.kinds import MEDIA, AnyContent
from zapwire.model.content.places_and_people import ContactContent, LocationContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput, NotFound, NotSupported
from zapwire.store.ports import View

KINDS: Final = frozenset({TextContent.kind, LocationContent.kind, ContactContent.kind, *MEDIA})


def forwarded(view: View, bot: BotId, message: str, chat: str | None) -> AnyContent:
    """The content of a message, ours (`msg_...`) or WhatsApp's in *chat* (a JID), as it is sent on.

    Raises `InvalidInput`, `NotFound` and `NotSupported` that name the field.
    """
    content = _content(view, bot, message, chat)
    if content.view_once:
        raise InvalidInput("what is to be seen once cannot be forwarded", field="message")
    if content.kind not in KINDS:
        raise NotSupported(f"messages of type {content.kind} cannot be forwarded", field="message")
    kept = {name: one for name, one in content if name not in _OF_ITS_CHAT}
    return type(content).model_validate({**kept, "forwarded": True})


_OF_ITS_CHAT: Final = frozenset(
    {"quoted", "mentions", "mentions_all", "disappearing", "expires_in", "referral", "choice"}
)
"""What a content says of the chat that it stood in, and of its people."""


def _content(view: View, bot: BotId, message: str, chat: str | None) -> AnyContent:
    if message.startswith(OUR_ID):
        found = view.outbox.get(bot, message)
        if found is None:
            raise NotFound("no such message of this bot", field="message")
        return found.content
    if chat is None:
        raise InvalidInput("is required with WhatsApp's id of a message", field="chat")
    return References(view, bot, chat).find(message, "message").content
