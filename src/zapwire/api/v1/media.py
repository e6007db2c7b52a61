"""Files of messages: upload one, see what it is, download it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Final
from urllib.parse import quote

from aiohttp import BodyPartReader, StreamReader, web

from zapwire.api.http.context import CORE
from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.requests import ChoiceParameter, Parameter
from zapwire.api.http.responses import answer
from zapwire.core.events.serializers import media_json
from zapwire.core.media.limits import SORTS
from zapwire.model.bots import BotId
from zapwire.model.errors import InvalidInput, NotFound
from zapwire.model.media import UNKNOWN_TYPE, MediaFile

KIND: Final = ChoiceParameter(
    "type", "Type of the messages that will carry it.", choices=tuple(SORTS), default="document"
)
FILE_NAME: Final = Parameter("file_name", "Its name, which documents show.", {"minLength": 1, "maxLength": 255})
CONTENT: Final = UNKNOWN_TYPE
_MOST_BEFORE: Final = 1 << 20
"""Bytes of a form before the file."""
_NOTHING: Final = re.compile(r"bytes\s*=\s*-0+\s*")
"""The last no bytes of a file."""
STALLED: Final = 60.0
"""Seconds in which some of an upload has to come."""
_PIECE: Final = 1 << 18
_NAME: Final = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")
_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,80}")
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, no-store",
    "Accept-Ranges": "bytes",
}
"""What a stranger sent is never part of a page of ours."""


async def upload(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/media`."""
    core, bot = request.app[CORE], request.match_info["bot"]
    kind = KIND.read(request)
    name = request.query.get(FILE_NAME.name)
    if name is not None and _NAME.fullmatch(name) is None:
        raise InvalidInput("1 to 255 characters, without slashes and control characters", field=FILE_NAME.name)
    known = core.bots.get(bot).current.bot  # raises when there is none
    if request.content_type.startswith("multipart/"):
        file = await _from_form(request, known, kind, name)
    else:
        file = await core.media.take(known, _pieces(request.content), kind=kind, file_name=name)
    made = answer(media_json(file), 201)
    made.headers["Location"] = f"/v1/media/{file.id}"
    return made


async def _from_form(request: web.Request, bot: BotId, kind: str, name: str | None) -> MediaFile:
    try:
        left = _MOST_BEFORE
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "file":
                shown = name or part.filename
                given = shown if shown and _NAME.fullmatch(shown) else None
                return await request.app[CORE].media.take(bot, _of_part(part), kind=kind, file_name=given)
            if isinstance(part, BodyPartReader):
                async for piece in _of_part(part):
                    left -= len(piece)
                    if left < 0:
                        raise InvalidInput(f"more than {_MOST_BEFORE} bytes of the form stand before it", field="file")
    except ValueError:
        raise HttpProblem(400, "bad-request", "the body is not what its Content-Type says") from None
    raise InvalidInput("the form has no field `file`", field="file")


async def show(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/media/{media}`."""
    file = await request.app[CORE].media.get(request.match_info["media"])
    if file.bot != request.match_info["bot"]:
        raise NotFound("this bot has no such file", field="media")
    return answer(media_json(file))


async def download(request: web.Request) -> web.StreamResponse:
    """`GET /v1/media/{media}`."""
    library = request.app[CORE].media
    file = await library.get(request.match_info["media"])
    start, end, status = _range(request, file.size)
    given = web.StreamResponse(status=status, headers={**_SAFE, **_headers(file)})
    if request.method != "HEAD" and status != 416:  # neither says a byte of it
        await library.fetched(file)
    if status == 416:
        given.headers["Content-Range"] = f"bytes */{file.size}"
        return web.Response(status=416, headers=given.headers)
    if status == 206:
        given.headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    given.content_length = end - start
    await given.prepare(request)
    if request.method != "HEAD":
        async for piece in library.folder.read(file, start, end):
            await given.write(piece)
    await given.write_eof()
    return given


def _headers(file: MediaFile) -> dict[str, str]:
    mime_type = file.details.mime_type.partition(";")[0].strip().lower()
    name = file.details.file_name or f"{file.id}"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:100]
    return {
        "Content-Type": mime_type if _TYPE.fullmatch(mime_type) else CONTENT,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name[:255], safe='')}",
        "ETag": f'"{file.remote.sha256.hex()}"',
    }


def _range(request: web.Request, size: int) -> tuple[int, int, int]:
    """From which byte to before which, and the status."""
    if "Range" not in request.headers:
        return 0, size, 200
    try:
        if _NOTHING.fullmatch(request.headers["Range"]):
            return 0, 0, 416
        wanted = request.http_range
    except ValueError:
        return 0, size, 200  # RFC 9110: what is no range of bytes is ignored
    start, end, _ = wanted.indices(size)
    if start >= end or (wanted.start is not None and wanted.start >= size):
        return 0, 0, 416
    return start, end, 206


async def _pieces(content: StreamReader) -> AsyncIterator[bytes]:
    while piece := await _in_time(content.read(_PIECE)):
        yield piece


async def _of_part(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await _in_time(part.read_chunk(_PIECE)):
        yield piece


async def _in_time(step: Awaitable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(STALLED):
            return await step
    except TimeoutError:
        raise HttpProblem(
            408, "request-timeout", f"nothing of the file came for {STALLED:g} s", headers={"Connection": "close"}
        ) from None
    except web.RequestPayloadError:
        raise HttpProblem(400, "bad-request", "the body ends early, or is not in its Content-Encoding") from None
