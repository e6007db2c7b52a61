"""All kinds of content, by the `type` of their messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias, get_args

from zapwire.model.content.base import Content
from zapwire.model.content.business import (
    AlbumContent,
    CallLogContent,
    EventContent,
    EventResponseContent,
    OrderContent,
    PaymentContent,
    ProductContent,
)
from zapwire.model.content.changes import CommentContent, DeleteContent, KeepContent, PinContent, ReactionContent
from zapwire.model.content.interactive import ButtonsContent, ListContent, PollContent, PollVoteContent, ReplyContent
from zapwire.model.content.media import (
    AudioContent,
    DocumentContent,
    GifContent,
    ImageContent,
    MediaContent,
    StickerContent,
    VideoContent,
    VideoNoteContent,
    VoiceContent,
)
from zapwire.model.content.places_and_people import ContactContent, GroupInviteContent, LocationContent
from zapwire.model.content.text import TextContent


class UnknownContent(Content):
    """A kind that is not known here."""

    kind: ClassVar = "unknown"

    whatsapp_type: str | None = None
    """The field of WhatsApp's protobuf, or its number when it is newer than what is known here."""
    text: str | None = None
    """What a person can read of it."""


Simple: TypeAlias = (
    TextContent
    | ImageContent
    | VideoContent
    | GifContent
    | VideoNoteContent
    | AudioContent
    | VoiceContent
    | DocumentContent
    | StickerContent
    | LocationContent
    | ContactContent
    | GroupInviteContent
    | PollContent
    | PollVoteContent
    | ReplyContent
    | ListContent
    | ButtonsContent
    | ReactionContent
    | DeleteContent
    | PinContent
    | KeepContent
    | CommentContent
    | AlbumContent
    | EventContent
    | EventResponseContent
    | ProductContent
    | OrderContent
    | PaymentContent
    | CallLogContent
    | UnknownContent
)
"""Every kind that holds no other content."""


class EditContent(Content):
    """An earlier message was changed."""

    kind: ClassVar = "edit"

    message_id: str
    type: str
    """Of the new content."""
    content: Simple
    """The new content."""


AnyContent: TypeAlias = Simple | EditContent

FORMER: Final = {"revoke": DeleteContent.kind}
"""Names that kinds had in earlier versions, as messages and events of then are stored."""

KINDS: Final[dict[str, type[AnyContent]]] = {one.kind: one for one in get_args(AnyContent)}


_MARKS: Final = {"video": {"gif": "gif", "note": "video_note"}, "audio": {"voice": "voice"}}
"""Fields that earlier versions had in place of kinds."""


def _present(kind: str, fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """*fields* of *kind*, as an earlier version may have stored them, under the present name."""
    marks = _MARKS.get(kind, {})
    found = next((name for mark, name in marks.items() if fields.get(mark)), kind)
    return found, {name: value for name, value in fields.items() if name not in marks} if marks else fields


MEDIA: Final = frozenset(kind for kind, one in KINDS.items() if issubclass(one, MediaContent))
"""The kinds that carry a file."""


def read_content(kind: str, fields: Mapping[str, Any]) -> AnyContent:
    """The content that `Content.as_json` of a message of type *kind* was. Raises `ValueError` for what is none."""
    kind, fields = _present(FORMER.get(kind, kind), fields)
    if kind not in KINDS:
        raise ValueError(f"there is no type of message {kind[:40]!r}")
    if kind == EditContent.kind and isinstance(edited := fields.get("content"), Mapping):
        fields = {**fields, "content": read_content(str(fields.get("type")), edited)}
    return KINDS[kind].model_validate(fields)
