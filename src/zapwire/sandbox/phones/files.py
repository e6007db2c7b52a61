"""Files that a virtual phone sends and gets, through the sandbox's media store."""

from __future__ import annotations

import time
from typing import Any, Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from zapwire.sandbox.phones import media_crypto
from zapwire.sandbox.phones.compose import Media
from zapwire.sandbox.phones.content import MEDIA_FIELDS, E2EMessage, unwrap
from zapwire.sandbox.phones.errors import UnknownPhone
from zapwire.sandbox.server.world import World
from zapwire.sandbox.signal.errors import DecryptFailed

MIME_TYPES: Final = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "document": "application/octet-stream",
    "sticker": "image/webp",
}


class Files:
    """Encrypts into the store and decrypts out of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.media

    def compose(self, media: Media) -> E2EMessage:
        """Put a file into the store and make the message that leads to it."""
        encrypted = media_crypto.encrypt(media.kind, media.data)
        message = Message()
        part = getattr(message, MEDIA_FIELDS[media.kind])
        part.mimetype = media.mimetype or MIME_TYPES[media.kind]
        part.mediaKey, part.mediaKeyTimestamp = encrypted.key, int(time.time())
        part.fileSHA256, part.fileEncSHA256 = encrypted.sha256, encrypted.encrypted_sha256
        part.fileLength, part.directPath = encrypted.size, self._store.add(encrypted.data)
        # Some clients look for the path at WhatsApp's media host, unless the address names another.
        part.URL = f"https://{self._world.media_host}{part.directPath}"
        if media.kind == "audio":
            part.PTT = media.voice
        if media.caption and media.kind in {"image", "video", "document"}:
            part.caption = media.caption
        if media.filename and media.kind == "document":
            part.fileName = part.title = media.filename
        return message

    def open(self, raw: bytes) -> tuple[str, bytes]:
        """The MIME type and the file of a message; raises UnknownPhone when there is none or it cannot be decrypted."""
        inner = unwrap(Message.FromString(raw))
        kind = next((kind for kind, name in MEDIA_FIELDS.items() if inner.HasField(name)), None)
        if kind is None:
            raise UnknownPhone("this message has no file")
        part: Any = getattr(inner, MEDIA_FIELDS[kind])
        data = self._store.get(part.directPath.partition("?")[0].rpartition("/")[2])
        if data is None:
            raise UnknownPhone("the server does not have this message's file (any more)")
        try:
            return str(part.mimetype), media_crypto.decrypt(kind, data, part.mediaKey, part.fileSHA256)
        except DecryptFailed as error:
            raise UnknownPhone(f"this message's file cannot be read: {error}") from error
