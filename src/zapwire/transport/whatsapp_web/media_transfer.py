"""Files to and from WhatsApp's media hosts, encrypted as they are, in constant memory.

The engine's own upload and download take a file three to six times in memory. Here the encrypted file goes from the
disk to the host and back; the engine only tells where to and with which right (`engine.private.media_hosts`). Where
that cannot be read, its own upload is used for small files. Source: whatsmeow's upload.go and download.go.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from zapwire.model.errors import MediaDamaged, MediaExpired, NotSupported, Refused, TransportError
from zapwire.model.media import MediaFile, RemoteFile
from zapwire.model.proxy import Proxy
from zapwire.runtime.file_threads import in_file_thread, in_file_thread_to_end, open_in_file_thread, write_all
from zapwire.transport.protocol import Grow
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable
from zapwire.transport.whatsapp_web.engine.engine import Engine
from zapwire.transport.whatsapp_web.engine.private.media_hosts import MediaHosts
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.network.line import LineMaker
from zapwire.transport.whatsapp_web.network.media_http import PIECE, BrokenTransfer, request
from zapwire.transport.whatsapp_web.session import EngineSession
from zapwire.wire.media import Decryptor, Domain, encrypted_size

T = TypeVar("T")

DOWNLOAD_HOST: Final = "mmg.whatsapp.net"
TRIES: Final = 4
FIRST_RETRY: Final = 0.5
"""Seconds; doubled with each."""
HOSTS_LAST: Final = 120.0
"""Seconds for which the right to upload is not asked for again; WhatsApp gives it for some minutes."""
HOSTS_DEADLINE: Final = 60.0
LARGEST_BY_ENGINE: Final = 64 << 20
ENGINE_UPLOAD_DEADLINE: Final = 300.0
_ANSWER: Final = 64 << 10
_FINAL: Final = frozenset({400, 413, 415})
"""Answers to an upload that would be the same another time."""
_GONE: Final = "WhatsApp has this file no longer: whoever sent it has to send it again"
_SHORT: Final = "the file is shorter than the message says"
_PATH: Final = re.compile(r"/[!-~]{1,2047}")
_KINDS: Final = {Domain.IMAGE: 0, Domain.VIDEO: 1, Domain.AUDIO: 2, Domain.DOCUMENT: 3}


def is_path(text: str) -> bool:
    """Can it be the path of a file at a media host? What a stranger writes decides nothing else of an address."""
    return _PATH.fullmatch(text) is not None and not text.startswith("//")


class _Forbidden(BrokenTransfer):
    """403: an address that is no longer valid, or a proxy that filters."""


class MediaTransfer:
    """One bot's transfers."""

    def __init__(self, engine: Engine, lines: LineMaker | None) -> None:
        """*lines* is None where only the engine can use the proxy for all bots."""
        self._engine = engine
        self._lines = lines
        self._hosts: tuple[float, MediaHosts] | None = None

    async def download(self, file: RemoteFile, path: Path, proxy: Proxy | None, grow: Grow) -> None:
        """See `CarriesMedia.download`."""
        if self._lines is None:
            raise NotSupported("files cannot be downloaded through the proxy in HTTPS_PROXY: give the bot its own")
        if not is_path(file.direct_path):
            raise MediaExpired("the message does not say where its file is")
        part = path.with_suffix(".part")
        try:
            await self._fetch(file, part, proxy, grow)
            await in_file_thread(_check, file, part)
        except (MediaDamaged, MediaExpired):
            await in_file_thread(part.unlink, missing_ok=True)
            raise
        await in_file_thread(part.replace, path)

    async def _fetch(self, file: RemoteFile, part: Path, proxy: Proxy | None, grow: Grow) -> None:
        known = () if self._hosts is None else self._hosts[1].hosts
        hosts = (DOWNLOAD_HOST, *(host for host in known if host != DOWNLOAD_HOST))
        try:
            await _retried(lambda attempt: self._download(file, part, proxy, hosts[attempt % len(hosts)], grow))
        except _Forbidden:
            raise MediaExpired(_GONE) from None

    async def _download(self, file: RemoteFile, part: Path, proxy: Proxy | None, host: str, grow: Grow) -> None:
        """Fetch what is missing of the encrypted file."""
        have = part.stat().st_size if part.exists() else 0
        largest = encrypted_size(file.size)
        assert self._lines is not None  # noqa: S101 - checked before
        hashed = quote(base64.urlsafe_b64encode(file.enc_sha256).decode(), safe="")
        target = f"{file.direct_path}&hash={hashed}&mms-type={file.domain}&__wa-mms="
        fields = {"Range": f"bytes={have}-"} if have else {}
        async with request(self._lines, proxy, "GET", host, target, fields=fields) as answer:
            if answer.status in {404, 410}:
                raise MediaExpired(_GONE)
            if answer.status == 403:
                raise _Forbidden("WhatsApp's media host refuses to give the file")
            if answer.status == 416:
                if have == largest:
                    return
                raise MediaDamaged(_SHORT)
            if answer.status not in {200, 206}:
                raise BrokenTransfer(f"WhatsApp's media host answered {answer.status}")
            have = have if answer.status == 206 else 0
            out = await open_in_file_thread(_open_at, part, have)
            try:
                async for piece in answer.pieces():
                    have += len(piece)
                    if have > largest:
                        raise MediaDamaged("WhatsApp's media host gives more than the message says")
                    await grow(len(piece))
                    await in_file_thread_to_end(write_all, out, piece)
                await in_file_thread_to_end(os.fsync, out)
            finally:
                os.close(out)
        if have < largest:
            if "content-length" in answer.fields:  # all of it has come
                raise MediaDamaged(_SHORT)
            raise BrokenTransfer("WhatsApp's media host broke the connection off")

    async def upload(self, session: EngineSession, file: MediaFile, path: Path, proxy: Proxy | None) -> RemoteFile:
        """See `CarriesMedia.upload`."""

        async def once(attempt: int) -> RemoteFile:
            hosts = await self._upload_hosts(session, fresh=attempt > 0)
            if hosts is None or self._lines is None:
                return await self._by_engine(session, file, path)
            host = hosts.hosts[attempt % len(hosts.hosts)]
            return replace(file.remote, direct_path=await self._upload(hosts, host, file, path, proxy))

        return await _retried(once)

    async def _upload_hosts(self, session: EngineSession, *, fresh: bool) -> MediaHosts | None:
        if self._hosts is not None and not fresh and time.monotonic() < self._hosts[0] + HOSTS_LAST:
            return self._hosts[1]
        library = self._engine.library
        if library.table is None:
            return None
        try:
            await session.ask(library.ask_for_media_hosts, end_within=HOSTS_DEADLINE)
        except TimeoutError:
            raise TransportError("WhatsApp did not say where files are uploaded to") from None
        found = await session.look_up(library.media_hosts)
        if found is None:
            raise TransportError("WhatsApp did not say where files are uploaded to")
        self._hosts = time.monotonic(), found
        return found

    async def _upload(self, hosts: MediaHosts, host: str, file: MediaFile, path: Path, proxy: Proxy | None) -> str:
        assert self._lines is not None  # noqa: S101 - checked before
        token = base64.urlsafe_b64encode(file.remote.enc_sha256).decode()
        auth = quote(hosts.auth, safe="")
        target = f"/mms/{file.remote.domain}/{quote(token, safe='')}?auth={auth}&token={quote(token, safe='')}"
        fields = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
        async with request(self._lines, proxy, "POST", host, target, fields=fields, body=_pieces(path)) as answer:
            body = await answer.body(_ANSWER)
        if answer.status in _FINAL:
            raise Refused(f"WhatsApp's media host does not take the file (it answered {answer.status})")
        if answer.status != 200:
            self._hosts = None  # the right may have ended
            raise BrokenTransfer(f"WhatsApp's media host did not take the file (it answered {answer.status})")
        try:
            found = json.loads(body).get("direct_path")
        except (ValueError, AttributeError, RecursionError):
            found = None
        if not isinstance(found, str) or not is_path(found):
            raise BrokenTransfer("WhatsApp's media host did not say where it keeps the file")
        return found

    async def _by_engine(self, session: EngineSession, file: MediaFile, path: Path) -> RemoteFile:
        """The slower way, for builds of the engine that are not known: it encrypts the file again, with its own key."""
        if file.size > LARGEST_BY_ENGINE:
            raise NotSupported(
                f"above {LARGEST_BY_ENGINE >> 20} MB files need a known build of the engine, which this one is not"
            )
        plain = await in_file_thread(_decrypted, file.remote, path)
        kind = _KINDS[file.remote.domain]
        raw = await session.ask(self._engine.library.upload, plain, kind, end_within=ENGINE_UPLOAD_DEADLINE)
        answer = neonize.UploadReturnFunction.FromString(raw)
        made = answer.UploadResponse
        if answer.Error or not is_path(made.DirectPath):
            raise TransportError("WhatsApp's media host did not take the file")
        return RemoteFile(
            *(file.remote.domain, made.DirectPath, made.MediaKey, made.FileEncSHA256, made.FileSHA256), size=file.size
        )


async def _retried(work: Callable[[int], Awaitable[T]]) -> T:
    """*work*, which gets the number of the attempt, until the network lets it through or `TRIES` are used up."""
    for attempt in range(TRIES - 1):
        try:
            return await work(attempt)
        except (BrokenTransfer, Unreachable):
            await asyncio.sleep(FIRST_RETRY * 2**attempt)
    return await work(TRIES - 1)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    file = await open_in_file_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while piece := await in_file_thread_to_end(os.read, file, PIECE):
            yield piece
    finally:
        os.close(file)


def _decrypted(file: RemoteFile, path: Path) -> bytes:
    decrypting = Decryptor(file.key, file.domain)
    return decrypting.feed(path.read_bytes()) + decrypting.finish()


def _open_at(path: Path, size: int) -> int:
    """*path*, cut off after *size* bytes, open for writing there."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.ftruncate(file, size)
    os.lseek(file, size, os.SEEK_SET)
    return file


def _check(file: RemoteFile, path: Path) -> None:
    """Is the encrypted file what the message says? Raises `MediaDamaged`."""
    hashes, decrypting, plain, size = hashlib.sha256(), Decryptor(file.key, file.domain), hashlib.sha256(), 0
    with path.open("rb") as source:
        while piece := source.read(PIECE):
            hashes.update(piece)
            part = decrypting.feed(piece)
            plain.update(part)
            size += len(part)
    try:
        last = decrypting.finish()
    except ValueError as error:
        raise MediaDamaged(f"the file is damaged: {error}") from None
    plain.update(last)
    same = hmac.compare_digest(hashes.digest(), file.enc_sha256) and hmac.compare_digest(plain.digest(), file.sha256)
    if not same or size + len(last) != file.size:
        raise MediaDamaged("the file is not the one that the message names: its hash or its size is another")
