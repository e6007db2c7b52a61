"""What is sent, as the engine's waE2E protobuf: an encoder for each kind that can be sent.

A content is encoded first, then what it says about other messages and people (`contextInfo`) is put into it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from zapwire.model.bots import Identity
from zapwire.model.content.base import Content
from zapwire.model.content.business import EventContent
from zapwire.model.content.changes import DeleteContent, KeepContent, PinContent, ReactionContent
from zapwire.model.content.interactive import PollContent, PollVoteContent
from zapwire.model.content.kinds import EditContent
from zapwire.model.content.media import MediaContent
from zapwire.model.content.places_and_people import ContactContent, GroupInviteContent, LocationContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import NotSupported
from zapwire.model.jid import PHONE_SERVER, phone_jid
from zapwire.model.messages import MessageRef, Outgoing
from zapwire.transport.whatsapp_web.addresses import address_for
from zapwire.transport.whatsapp_web.content import business, changes, interactive, media, places_and_people, text
from zapwire.transport.whatsapp_web.content.decoders import innermost
from zapwire.transport.whatsapp_web.engine.protos import e2e

_QUOTABLE: Final = frozenset({TextContent.kind, LocationContent.kind, ContactContent.kind, PollContent.kind})
_FORWARDED: Final = 1
"""What WhatsApp counts up each time that a message is forwarded."""


def _event(content: EventContent) -> Any:
    ends_at = None if content.ends_at is None else _seconds(content.ends_at)
    made = business.encode_event(content, _seconds(content.starts_at or ""), ends_at)
    made.messageContextInfo.messageSecret = interactive.new_secret()
    return made


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


CONTENTS: Final[dict[str, Callable[[Any], Any]]] = {
    TextContent.kind: text.encode,
    LocationContent.kind: places_and_people.encode_location,
    ContactContent.kind: places_and_people.encode_contacts,
    GroupInviteContent.kind: places_and_people.encode_group_invite,
    PollContent.kind: interactive.encode_poll,
    EventContent.kind: _event,
}
"""By the type of the message: what stands by itself."""
CHANGES: Final[dict[str, Callable[[Outgoing, Any], Any]]] = {
    ReactionContent.kind: changes.encode_reaction,
    DeleteContent.kind: changes.encode_delete,
    PinContent.kind: changes.encode_pin,
    KeepContent.kind: changes.encode_keep,
}
"""By the type of the message: what is about an earlier one."""
ENCODED: Final = frozenset({*CONTENTS, *CHANGES, *media.KINDS, EditContent.kind, PollVoteContent.kind})
"""All kinds that can be sent. Votes are encoded by the engine, which has the polls' keys."""


def encode(message: Outgoing, own: Identity) -> bytes:
    """The serialized `waE2E.Message`, from the account *own*. Raises `NotSupported` for a kind without an encoder."""
    content = message.content
    if isinstance(content, EditContent):
        made = changes.encode_edit(message, _encode(content.content, message, own))
    elif content.kind in CHANGES:
        made = CHANGES[content.kind](message, content)
    else:
        made = _encode(content, message, own)
    data: bytes = made.SerializeToString()
    return data


def _encode(content: Content, message: Outgoing, own: Identity) -> Any:
    if isinstance(content, MediaContent) and message.media is not None:
        made = media.encode(content, message.media)
    elif (encoder := CONTENTS.get(content.kind)) is not None:
        made = encoder(content)
    else:
        raise NotSupported(f"messages of type {content.kind} cannot be sent yet", field="type")
    _put_context(made, content, message, own)
    return made


def _put_context(made: Any, content: Content, message: Outgoing, own: Identity) -> None:
    """Put in whom a content mentions, what it answers, that it is forwarded, and when it disappears."""
    quoted = message.quoted
    if not (quoted or content.mentions or content.mentions_all or content.forwarded or content.expires_in):
        return
    if made.HasField("conversation"):  # a plain text has no room for it
        made.extendedTextMessage.text = made.conversation
        made.ClearField("conversation")
    inner = innermost(made)
    field = next(field.name for field, _ in inner.ListFields() if field.name != "messageContextInfo")
    context = getattr(inner, field).contextInfo
    if quoted is not None:
        by = quoted.sender
        context.stanzaID = quoted.whatsapp_id
        context.participant = own_address(message.to, own) if by is None else address_for(by, message.to)
        context.quotedMessage.CopyFrom(_quote(quoted))
    context.mentionedJID.extend(person.jid for person in content.mentions)
    if content.mentions_all:
        context.nonJIDMentions = 1
    if content.forwarded:
        context.isForwarded, context.forwardingScore = True, _FORWARDED
    if content.expires_in:
        context.expiration = content.expires_in


def own_address(to: str, own: Identity) -> str:
    """Under which the recipient knows this account."""
    if own.lid is not None and (own.phone is None or not to.endswith(f"@{PHONE_SERVER}")):
        return own.lid
    return phone_jid(own.phone) if own.phone is not None else ""


def _quote(quoted: MessageRef) -> Any:
    """What the recipient is shown of the message that is answered."""
    encoder = CONTENTS.get(quoted.content.kind)
    if encoder is not None and quoted.content.kind in _QUOTABLE:
        return encoder(quoted.content)
    words = getattr(quoted.content, "caption", None) or getattr(quoted.content, "text", None) or ""
    return e2e.Message(conversation=words)
