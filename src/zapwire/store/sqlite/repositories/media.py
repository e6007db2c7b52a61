"""Files that messages carry; what is told of one is sealed in one value."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.media import MediaDetails, MediaFile, MediaId, MediaState, RemoteFile
from zapwire.runtime.json_encoder import encode
from zapwire.store.ports import MediaRepository
from zapwire.store.sqlite.repository import Repository
from zapwire.wire.media import Domain

_COLUMNS: Final = "id, bot, state, created_at, uploaded_at, file"
_PLACE: Final = "media.file"


class SqliteMedia(Repository, MediaRepository):
    """See `MediaRepository`."""

    @override
    def insert(self, file: MediaFile) -> None:
        created = timestamps.to_ms(file.created_at)
        uploaded = None if file.uploaded_at is None else timestamps.to_ms(file.uploaded_at)
        self._sql.execute(
            "INSERT INTO media (id, bot, state, size, created_at, used_at, uploaded_at, file) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (file.id, file.bot, file.state, file.size, created, created, uploaded, self._sealed(file)),
        )

    @override
    def describe(self, file: MediaFile) -> None:
        self._sql.execute("UPDATE media SET file = ? WHERE id = ?", (self._sealed(file), file.id))

    @override
    def get(self, media: str) -> MediaFile | None:
        return self._read(f"SELECT {_COLUMNS} FROM media WHERE id = ?", media)  # noqa: S608 - constant

    @override
    def of_bot(self, bot: BotId, media: str) -> MediaFile | None:
        found = self.get(media)
        return found if found is not None and found.bot == bot else None

    @override
    def move(self, media: MediaId, state: MediaState) -> None:
        self._sql.execute("UPDATE media SET state = ? WHERE id = ?", (state, media))

    @override
    def uploaded(self, media: MediaId, sent: RemoteFile, moment: datetime) -> None:
        file = self.get(media)
        if file is not None:
            self._sql.execute(
                "UPDATE media SET file = ?, uploaded_at = ? WHERE id = ?",
                (self._sealed(replace(file, sent=sent)), timestamps.to_ms(moment), media),
            )

    @override
    def used(self, media: MediaId, moment: datetime) -> None:
        self._sql.execute("UPDATE media SET used_at = max(used_at, ?) WHERE id = ?", (timestamps.to_ms(moment), media))

    @override
    def stored(self) -> tuple[int, int]:
        row = self._sql.execute("SELECT count(*), coalesce(sum(size), 0) FROM media WHERE state = 'stored'").fetchone()
        return int(row[0]), int(row[1])

    @override
    def oldest(self, limit: int, before: datetime | None = None) -> list[tuple[MediaId, int]]:
        until = timestamps.to_ms(timestamps.now() if before is None else before)  # later: a message still needs it
        rows = self._sql.execute(
            "SELECT id, size FROM media WHERE state = 'stored' AND used_at < ? ORDER BY used_at LIMIT ?", (until, limit)
        )
        return [(MediaId(media), int(size)) for media, size in rows]

    @override
    def prune(self, limit: int, before: datetime) -> int:
        return self._sql.execute(
            "DELETE FROM media WHERE id IN (SELECT id FROM media WHERE created_at < ? AND state <> 'stored' "
            "ORDER BY created_at LIMIT ?)",
            (timestamps.to_ms(before), limit),
        ).rowcount

    def _sealed(self, file: MediaFile) -> bytes:
        return self._values.seal(_PLACE, file.id, encode(_as_json(file)))

    def _read(self, query: str, media: str) -> MediaFile | None:
        row = self._sql.execute(query, (media,)).fetchone()
        if row is None:
            return None
        ours, bot, state, created, uploaded, sealed = row
        opened = self._values.row("media", ours)
        text = opened.open("file", sealed)
        known = opened.word("state", state, MediaState)
        if text is None or known is None:
            return None
        said = json.loads(text)
        sent = None if said["sent"] is None else _remote(said["sent"])
        return MediaFile(
            *(MediaId(ours), BotId(bot), known, _remote(said["remote"]), _details(said)),
            created_at=timestamps.from_ms(created),
            sent=sent,
            uploaded_at=timestamps.from_ms_or_none(uploaded),
        )


def _as_json(file: MediaFile) -> dict[str, Any]:
    details = file.details
    return {
        "remote": _remote_json(file.remote),
        "sent": None if file.sent is None else _remote_json(file.sent),
        "mime_type": details.mime_type,
        "file_name": details.file_name,
        "width": details.width,
        "height": details.height,
        "seconds": details.seconds,
        "pages": details.pages,
        "animated": details.animated,
        "waveform": _text(details.waveform),
        "thumbnail": _text(details.thumbnail),
    }


def _remote_json(remote: RemoteFile) -> dict[str, Any]:
    return {
        "domain": remote.domain,
        "direct_path": remote.direct_path,
        "key": _text(remote.key),
        "enc_sha256": _text(remote.enc_sha256),
        "sha256": _text(remote.sha256),
        "size": remote.size,
    }


def _remote(said: dict[str, Any]) -> RemoteFile:
    hashes = {name: _bytes(said[name]) or b"" for name in ("key", "enc_sha256", "sha256")}
    return RemoteFile(Domain(said["domain"]), said["direct_path"], **hashes, size=said["size"])


def _details(said: dict[str, Any]) -> MediaDetails:
    known = {name: said[name] for name in ("mime_type", "file_name", "width", "height", "seconds", "pages", "animated")}
    return MediaDetails(**known, waveform=_bytes(said["waveform"]), thumbnail=_bytes(said["thumbnail"]))


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
