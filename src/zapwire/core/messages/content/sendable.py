"""The kinds of content that can be sent: one module for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from zapwire.core.messages.content import text
from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import NotSupported
from zapwire.transport.protocol import Capabilities


@dataclass(frozen=True, slots=True)
class Sendable:
    """How a kind of content comes in; both raise `InvalidInput` that names the field."""

    read: Callable[[Mapping[str, Any]], AnyContent]
    """From the fields of a message."""
    check: Callable[[Any], None]
    """Can this content be sent?"""


SENDABLE: Final = {TextContent.kind: Sendable(text.read, text.check)}
"""By the type of the message."""


def read(kind: str, fields: Mapping[str, Any]) -> AnyContent:
    """The content of a message of type *kind* with these *fields*. Raises `InvalidInput`, `NotSupported`."""
    if kind not in SENDABLE:
        raise _not_supported(kind)
    return SENDABLE[kind].read(fields)


def check(content: AnyContent, capabilities: Capabilities) -> None:
    """Can a transport with these *capabilities* send it? Raises `InvalidInput`, `NotSupported`."""
    if content.kind not in capabilities.message_types or content.kind not in SENDABLE:
        raise _not_supported(content.kind)
    SENDABLE[content.kind].check(content)


def _not_supported(kind: str) -> NotSupported:
    return NotSupported(f"this bot cannot send messages of type {kind[:40]!r}", field="type")
