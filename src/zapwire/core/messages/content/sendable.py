"""The kinds of content that can be sent: a request for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from zapwire.core.messages.content import media
from zapwire.core.messages.content.business import EventRequest
from zapwire.core.messages.content.changes import DeleteRequest, EditRequest, KeepRequest, PinRequest, ReactionRequest
from zapwire.core.messages.content.fallback import FALLBACKS
from zapwire.core.messages.content.interactive import ButtonsRequest, ListRequest, PollRequest, PollVoteRequest
from zapwire.core.messages.content.places_and_people import ContactRequest, GroupInviteRequest, LocationRequest
from zapwire.core.messages.content.request import ContentRequest
from zapwire.core.messages.content.text import TextRequest
from zapwire.model.content.kinds import AnyContent
from zapwire.model.errors import InvalidInput, NotSupported
from zapwire.model.jid import CHANNEL_SERVER, STATUS
from zapwire.runtime.json_encoder import encode_bytes, valid_text
from zapwire.runtime.validation_messages import field_name, sentence
from zapwire.transport.protocol import Capabilities

REQUESTS: Final[tuple[type[ContentRequest], ...]] = (
    TextRequest,
    LocationRequest,
    ContactRequest,
    GroupInviteRequest,
    PollRequest,
    PollVoteRequest,
    ListRequest,
    ButtonsRequest,
    EventRequest,
    ReactionRequest,
    EditRequest,
    DeleteRequest,
    PinRequest,
    KeepRequest,
    *media.REQUESTS,
)
SENDABLE: Final[dict[str, type[ContentRequest]]] = {one.kind: one for one in REQUESTS}
"""By the type of the message."""


def read(kind: str, fields: Mapping[str, Any], country: str | None = None) -> AnyContent:
    """The content of a message of type *kind* with these *fields*; numbers without `+` are dialled in *country*.

    Raises `InvalidInput` that names the field, `NotSupported`.
    """
    if kind not in SENDABLE:
        raise _not_supported(kind)
    for name, value in fields.items():
        told = json.dumps(value, ensure_ascii=False)
        if valid_text(told) != told:
            raise InvalidInput("holds half of a character (a surrogate without its other half)", field=name)
    try:
        request = SENDABLE[kind].model_validate_json(encode_bytes({**fields, "type": kind}))
    except ValidationError as error:
        raise _invalid(error) from None
    return request.content(country)


def check(kind: str, to: str, capabilities: Capabilities) -> None:
    """Can a transport with these *capabilities* send messages of that type, or what stands in for it, to that JID?

    Raises `NotSupported`.
    """
    if to == STATUS and kind not in capabilities.status_types:
        raise NotSupported(f"this bot cannot post messages of type {kind[:40]!r} as a status", field="type")
    if to.endswith(f"@{CHANNEL_SERVER}") and kind not in capabilities.channel_types:
        raise NotSupported(f"this bot cannot post messages of type {kind[:40]!r} in a channel", field="type")
    if kind not in SENDABLE or not (kind in capabilities.message_types or kind in FALLBACKS):
        raise _not_supported(kind)


def _not_supported(kind: str) -> NotSupported:
    return NotSupported(f"this bot cannot send messages of type {kind[:40]!r}", field="type")


def _invalid(error: ValidationError) -> InvalidInput:
    found = error.errors(include_url=False, include_input=False)
    # what is misspelt is missing as well, and the misspelling says more
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    field = field_name(first["loc"]) or None
    if first["type"] == "extra_forbidden":
        return InvalidInput("is not a field of a message", field=field)
    return InvalidInput(
        "is required" if first["type"] == "missing" else sentence(first["type"], first["msg"]), field=field
    )
