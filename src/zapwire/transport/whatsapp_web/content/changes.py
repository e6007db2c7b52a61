"""What is about an earlier message: reactions, pins, kept messages, deletions, edits.

Source: WAWebProtobufsE2E.proto, `ReactionMessage` and its neighbours; whatsmeow's send.go (`BuildMessageKey`,
`BuildRevoke`, `BuildEdit`) and its `getEditAttribute`, which says how the stanza is marked. Edits and deletions come as
`ProtocolMessage`: see `decoders`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.changes import CommentContent, DeleteContent, KeepContent, PinContent, ReactionContent
from zapwire.model.content.kinds import AnyContent
from zapwire.model.messages import MessageRef, Outgoing
from zapwire.transport.whatsapp_web.addresses import address_for
from zapwire.transport.whatsapp_web.content.build import build
from zapwire.transport.whatsapp_web.engine.protos import e2e


def _reaction(value: Any) -> ReactionContent:
    return build(ReactionContent, message_id=value.key.ID, emoji=value.text)


def _pin(value: Any) -> PinContent:
    return build(PinContent, message_id=value.key.ID).model_copy(
        update={"pinned": value.type != e2e.PinInChatMessage.UNPIN_FOR_ALL}
    )


def _keep(value: Any) -> KeepContent:
    return build(KeepContent, message_id=value.key.ID).model_copy(
        update={"kept": value.keepType != e2e.UNDO_KEEP_FOR_ALL}
    )


def _comment(value: Any) -> CommentContent:
    return build(CommentContent, message_id=value.targetMessageKey.ID)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "reactionMessage": _reaction,
    "pinInChatMessage": _pin,
    "keepInChatMessage": _keep,
    "commentMessage": _comment,
    "encCommentMessage": _comment,
}


def encode_reaction(message: Outgoing, content: ReactionContent) -> Any:
    """The `waE2E.Message` of a reaction."""
    made = e2e.ReactionMessage(text=content.emoji, senderTimestampMS=_now_ms())
    _point(made.key, message)
    return e2e.Message(reactionMessage=made)


def encode_delete(message: Outgoing, _: DeleteContent) -> Any:
    """The `waE2E.Message` that deletes a message for everybody."""
    made = e2e.ProtocolMessage(type=e2e.ProtocolMessage.REVOKE)
    _point(made.key, message)
    return e2e.Message(protocolMessage=made)


def encode_pin(message: Outgoing, content: PinContent) -> Any:
    """The `waE2E.Message` that pins a message or takes it down."""
    kinds = e2e.PinInChatMessage
    made = kinds(type=kinds.PIN_FOR_ALL if content.pinned else kinds.UNPIN_FOR_ALL, senderTimestampMS=_now_ms())
    _point(made.key, message)
    found = e2e.Message(pinInChatMessage=made)
    if content.pinned:
        found.messageContextInfo.messageAddOnDurationInSecs = content.seconds or 0
    return found


def encode_keep(message: Outgoing, content: KeepContent) -> Any:
    """The `waE2E.Message` that keeps a message that would disappear, or no longer."""
    made = e2e.KeepInChatMessage(
        keepType=e2e.KEEP_FOR_ALL if content.kept else e2e.UNDO_KEEP_FOR_ALL, timestampMS=_now_ms()
    )
    _point(made.key, message)
    return e2e.Message(keepInChatMessage=made)


def encode_edit(message: Outgoing, changed: Any) -> Any:
    """The `waE2E.Message` that gives a message the new content *changed*, a `waE2E.Message`."""
    made = e2e.ProtocolMessage(type=e2e.ProtocolMessage.MESSAGE_EDIT, editedMessage=changed, timestampMS=_now_ms())
    _point(made.key, message)
    return e2e.Message(editedMessage=e2e.FutureProofMessage(message=e2e.Message(protocolMessage=made)))


def _point(key: Any, message: Outgoing) -> None:
    """Make *key* the key of the message that *message* is about."""
    about = target_of(message)
    key.remoteJID, key.fromMe, key.ID = message.to, about.from_me, about.whatsapp_id
    if message.in_group and about.sender is not None:
        key.participant = address_for(about.sender, message.to)


def target_of(message: Outgoing) -> MessageRef:
    """The message that *message* is about; the core looks it up before it hands a change over."""
    if message.target is None:
        raise ValueError("a change without the message that it is about")
    return message.target


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
