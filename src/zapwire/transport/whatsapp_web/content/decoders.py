"""What a message says, from the engine's waE2E protobuf.

Source: WAWebProtobufsE2E.proto. A kind without a decoder of its own stays visible as `unknown` with the name of its
field, one that is newer than the protobufs with the field's number. Everything in here was written by a stranger: lists
are bounded, and what `read_content` returns can always be told as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.unknown_fields import UnknownFieldSet

from zapwire.model.bots import Identity
from zapwire.model.content.base import Person, Quoted, Referral
from zapwire.model.content.changes import DeleteContent
from zapwire.model.content.kinds import AnyContent, EditContent, UnknownContent
from zapwire.transport.whatsapp_web.addresses import party_of
from zapwire.transport.whatsapp_web.content import business, changes, interactive, media, places_and_people, text
from zapwire.transport.whatsapp_web.content.build import MOST, build
from zapwire.transport.whatsapp_web.engine.protos import e2e
from zapwire.transport.whatsapp_web.engine.untrusted_text import text_of

DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    **text.DECODERS,
    **media.DECODERS,
    **places_and_people.DECODERS,
    **interactive.DECODERS,
    **changes.DECODERS,
    **business.DECODERS,
}
"""By the field of `waE2E.Message`."""

CARRIERS: Final = frozenset(
    {
        "messageContextInfo",
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "stickerSyncRmrMessage",
    }
)
"""Fields that are part of the protocol: keys of a group's sender, and what belongs to another field or device."""
_PLACEHOLDER: Final = "placeholderMessage"
"""Stands for a content that this device does not get; `inbound.decode.read_message` emits it."""
_NO_CONTENTS: Final = CARRIERS | {_PLACEHOLDER}
_WRAPPER: Final = "FutureProofMessage"
_WORDS: Final = ("text", "caption", "body", "title", "name", "contentText", "description", "hydratedContentText")
QUOTED: Final = 200
"""Characters that are emitted of a quoted text."""


def read_content(event: Any, own: Identity) -> AnyContent | None:
    """The content of a `Neonize.Message`; None when it holds nothing for a person."""
    found = _read(event.Message, own)
    if found is None or not (event.IsViewOnce or event.IsEphemeral):
        return found
    return found.model_copy(update={"view_once": event.IsViewOnce, "disappearing": event.IsEphemeral})


def innermost(message: Any) -> Any:
    """What is in the wrappers that the engine leaves on."""
    while True:
        value: Any = next((value for field, value in message.ListFields() if field.name not in CARRIERS), None)
        if getattr(value, "DESCRIPTOR", None) is None or value.DESCRIPTOR.name != _WRAPPER:
            return message
        if not value.HasField("message"):
            return message
        message = value.message


def _read(message: Any, own: Identity) -> AnyContent | None:
    message = innermost(message)
    if message.HasField("protocolMessage"):
        return _protocol(message.protocolMessage, own)
    fields = [(field.name, value) for field, value in message.ListFields() if field.name not in _NO_CONTENTS]
    if not fields:
        return _newer(message)
    for name, value in fields:
        if decode := DECODERS.get(name):
            content = decode(value)
            context = _context(value, own)
            return content.model_copy(update=context) if context else content
    return build(UnknownContent, whatsapp_type=fields[0][0], text=_visible_text(fields[0][1]))


def _visible_text(value: Any) -> str | None:
    """What a person can read of a content without a decoder: the first of its fields that usually hold words."""
    if isinstance(value, str):
        return value
    known = getattr(value, "DESCRIPTOR", None)
    for name in _WORDS:
        if known is None or name not in known.fields_by_name:
            continue
        found = getattr(value, name)
        if isinstance(found, str) and found:
            return found
        if name == "body" and (words := getattr(found, "text", None)):
            return str(words)
    return None


def _newer(part: Any) -> UnknownContent | None:
    """A content that is newer than the protobufs: only fields that they do not know."""
    unknown = UnknownFieldSet(part)
    return UnknownContent(whatsapp_type=str(unknown[0].field_number)) if len(unknown) else None


def _protocol(part: Any, own: Identity) -> AnyContent | None:
    kinds = e2e.ProtocolMessage
    if not part.HasField("type") and (newer := _newer(part)) is not None:
        return newer  # an unknown type is left out of the field, which then reads as REVOKE
    if part.type == kinds.REVOKE and part.HasField("key"):
        return build(DeleteContent, message_id=part.key.ID)
    if part.type == kinds.MESSAGE_EDIT:
        edited = _read(part.editedMessage, own)
        if edited is None or isinstance(edited, EditContent):
            edited = UnknownContent()
        return EditContent(message_id=text_of(part.key.ID), type=edited.kind, content=edited)
    return None  # history, app state keys and the like, between the account's own devices


def _context(value: Any, own: Identity) -> dict[str, Any]:
    """The fields that all contents have, as far as the message has them."""
    if not hasattr(value, "HasField") or "contextInfo" not in value.DESCRIPTOR.fields_by_name:
        return {}
    context, found = value.contextInfo, dict[str, Any]()
    if context.stanzaID:
        sender = text_of(context.participant)
        quoted = _text_in_short(context.quotedMessage) if context.HasField("quotedMessage") else None
        person = _person(sender, own) if sender else None
        found["quoted"] = build(Quoted, message_id=context.stanzaID, sender=person, text=quoted)
    if context.mentionedJID:
        found["mentions"] = tuple(_person(text_of(jid), own) for jid in context.mentionedJID[:MOST])
    if context.isForwarded:
        found["forwarded"] = True
    if context.nonJIDMentions:
        found["mentions_all"] = True
    if context.expiration:
        found["expires_in"] = context.expiration
    if context.HasField("externalAdReply") and (referral := _referral(context.externalAdReply)) != Referral():
        found["referral"] = referral
    return found


def _referral(ad: Any) -> Referral:
    where = {"source_id": ad.sourceID, "source_type": ad.sourceType, "source_url": ad.sourceURL}
    return build(Referral, **where, headline=ad.title, body=ad.body, click_id=ad.ctwaClid)


def _person(address: str, own: Identity) -> Person:
    found = party_of(address, own)
    return build(Person, jid=found.jid, phone=found.phone, lid=found.lid)


def _text_in_short(quoted: Any) -> str | None:
    """The text, the caption or the name that a person sees in a quotation."""
    for field, value in quoted.ListFields():
        if decode := DECODERS.get(field.name):
            content = decode(value)
            found = (getattr(content, name, None) for name in ("text", "caption", "question"))
            shown: str = next((one for one in found if one), "")
            return shown if len(shown) <= QUOTED else f"{shown[: QUOTED - 1]}\u2026"
    return None
