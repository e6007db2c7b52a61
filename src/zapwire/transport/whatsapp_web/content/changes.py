"""Reactions. Source: WAWebProtobufsE2E.proto, `ReactionMessage`. Edits and deletions come as `ProtocolMessage`: see
`decoders`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.changes import ReactionContent
from zapwire.model.content.kinds import AnyContent
from zapwire.transport.whatsapp_web.content.build import build


def _reaction(value: Any) -> ReactionContent:
    return build(ReactionContent, message_id=value.key.ID, emoji=value.text)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {"reactionMessage": _reaction}
