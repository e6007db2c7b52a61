"""How large files may be, and of what type they are to be, by the type of the message that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from zapwire.model.errors import InvalidInput, MediaTooLarge
from zapwire.wire.media import Domain

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sort:
    """What a type of message carries."""

    domain: Domain
    types: tuple[str, ...]
    """Beginnings of the MIME types that it is made of; empty: any."""
    largest: int
    """Bytes, WhatsApp's own."""


SORTS: Final[dict[str, Sort]] = {
    "image": Sort(Domain.IMAGE, ("image/",), 16 * MIB),
    "sticker": Sort(Domain.IMAGE, ("image/", "video/"), 16 * MIB),
    "video": Sort(Domain.VIDEO, ("video/",), 100 * MIB),
    "gif": Sort(Domain.VIDEO, ("video/", "image/"), 100 * MIB),
    "video_note": Sort(Domain.VIDEO, ("video/",), 100 * MIB),
    "audio": Sort(Domain.AUDIO, ("audio/", "video/"), 16 * MIB),
    "voice": Sort(Domain.AUDIO, ("audio/", "video/"), 16 * MIB),
    "document": Sort(Domain.DOCUMENT, (), 2048 * MIB),
}
"""By the type of the message."""


def check_type(kind: str, mime_type: str) -> None:
    """Can a message of type *kind* be made of a file of that type? Raises `InvalidInput`."""
    types = SORTS[kind].types
    if types and not mime_type.startswith(types):
        raise InvalidInput(f"a file of type {mime_type} is nothing for a message of type {kind}", field="media")


def check_size(kind: str, size: int) -> None:
    """Is a file of *size* bytes small enough for a message of type *kind*? Raises `InvalidInput`, `MediaTooLarge`."""
    if size == 0:
        raise InvalidInput("the file is empty", field="media")
    if size > SORTS[kind].largest:
        raise MediaTooLarge(f"larger than {SORTS[kind].largest // MIB} MB, the limit of type {kind}", field="media")
