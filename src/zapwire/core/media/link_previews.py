"""What a page behind a link says of itself: title, description and image, for the preview beside a text.

Pages are hostile: they are fetched through the SSRF guard, bounded in time and size, read by a parser that fails on
nothing, and images are opened in a confined child process. What goes wrong means no preview, never no message.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

from typing_extensions import override

from zapwire.core.media.fetching import Fetcher
from zapwire.media_tools import installed
from zapwire.media_tools.tools import MediaTools
from zapwire.model.errors import ZapwireError
from zapwire.model.link_preview import LinkPreview
from zapwire.runtime.file_threads import in_file_thread, write_all

log = logging.getLogger(__name__)

WITHIN: Final = 5.0
"""Seconds for the page and its image together."""
LARGEST: Final = 1 << 20
"""Bytes of a page that are read, and of its image."""
_WHOLE: Final = 1 << 40
"""A page may be longer than what is read of it."""
_TITLE: Final = 500
_DESCRIPTION: Final = 2000
_LINK = re.compile(r"https?://[!-~]{1,2040}", re.IGNORECASE)
_BEHIND: Final = ".,;:!?)]}>'\"*_~"
"""What stands behind a link more often than it ends one."""
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TOLD: Final = frozenset({"og:title", "og:description", "og:image", "description", "twitter:title", "twitter:image"})


def first_link(text: str) -> str | None:
    """The first http or https link in *text*."""
    found = _LINK.search(text)
    return None if found is None else found[0].rstrip(_BEHIND)


class LinkPreviews:
    """Looks at pages."""

    def __init__(self, fetcher: Fetcher, tools: MediaTools) -> None:
        self._fetcher = fetcher
        self._tools = tools

    async def of(self, text: str) -> LinkPreview | None:
        """The preview of the first link in *text*; None when there is none, or its page says nothing in time."""
        link = first_link(text)
        if link is None:
            return None
        deadline, page = asyncio.get_running_loop().time() + WITHIN, None
        with _in_time(deadline):
            async with asyncio.timeout_at(deadline):
                page = await self._page(link)
        if page is None or page.title is None:
            return None
        image = None if page.image is None else await self._thumbnail(link, page.image, deadline)
        return LinkPreview(link, page.title, page.description, image)

    async def given(self, link: str, title: str, image: str) -> LinkPreview:
        """A preview that somebody made, with the image at that address; without, when it cannot be had in time."""
        deadline = asyncio.get_running_loop().time() + WITHIN
        return LinkPreview(link, title, thumbnail=await self._thumbnail(link, image, deadline))

    async def _page(self, link: str) -> _Page | None:
        async with self._fetcher.fetch(link, _WHOLE) as fetched:
            if fetched.content_type not in _HTML:
                return None
            data = await _start(fetched.pieces)
            return await in_file_thread(_read, data, fetched.charset)

    async def _thumbnail(self, page: str, image: str, deadline: float) -> str | None:
        """A small JPEG of the image at that address, base64; None without the tools for it, or in time."""
        found: bytes | None = None
        with _in_time(deadline):
            async with asyncio.timeout_at(deadline):
                found = None if installed.missing() else await self._small(urljoin(page, image))
        return None if found is None else base64.b64encode(found).decode()

    async def _small(self, url: str) -> bytes | None:
        async with self._fetcher.fetch(url, LARGEST) as fetched:
            data = await _start(fetched.pieces)
        source = os.memfd_create("zapwire-preview")
        try:
            await in_file_thread(write_all, source, data)
            return (await self._tools.inspect(source, "image")).thumbnail
        finally:
            os.close(source)


@contextmanager
def _in_time(deadline: float) -> Iterator[None]:
    """Whatever is wrong with a page costs only the preview."""
    try:
        yield
    except (ZapwireError, TimeoutError, ValueError) as error:
        late = asyncio.get_running_loop().time() >= deadline
        log.debug("no preview, or one without an image: %s", "it took too long" if late else error)


async def _start(pieces: AsyncIterator[bytes]) -> bytes:
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) >= LARGEST:
            break
    return bytes(data[:LARGEST])


class _Page(HTMLParser):
    """Collects what the head of a page says; the first word for each thing counts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._said = dict[str, str]()
        self._title: list[str] | None = None
        self.over = False

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.over or tag == "body":
            self.over = True
        elif tag == "title" and "title" not in self._said and self._title is None:
            self._title = []
        elif tag == "meta":
            told = dict(attrs)
            name = (told.get("property") or told.get("name") or "").lower()
            if name in _TOLD and told.get("content"):
                self._said.setdefault(name, told["content"] or "")

    @override
    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and self._title is not None:
            self._said["title"], self._title = "".join(self._title), None
        self.over = self.over or tag == "head"

    def _first(self, *names: str, longest: int) -> str | None:
        for name in names:
            words = " ".join(self._said.get(name, "").split())
            if words:
                return words if len(words) <= longest else f"{words[: longest - 1]}\u2026"
        return None

    @property
    def title(self) -> str | None:
        return self._first("og:title", "twitter:title", "title", longest=_TITLE)

    @property
    def description(self) -> str | None:
        return self._first("og:description", "description", longest=_DESCRIPTION)

    @property
    def image(self) -> str | None:
        return self._first("og:image", "twitter:image", longest=2048)


def _read(data: bytes, charset: str | None) -> _Page:
    text, page = _text(data, charset), _Page()
    with suppress(AssertionError):  # how the parser ends at some broken declarations
        for place in range(0, len(text), 4096):
            page.feed(text[place : place + 4096])
            if page.over:
                break
    return page


def _text(data: bytes, charset: str | None) -> str:
    try:
        known = codecs.lookup(charset or "utf-8").name
        return data.decode(known if known in _CHARSETS else "utf-8", "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


_CHARSETS: Final = frozenset(
    codecs.lookup(one).name
    for one in (
        *("utf-8", "ascii", "iso-8859-1", "iso-8859-2", "iso-8859-9", "iso-8859-15", "windows-1250", "windows-1251"),
        *("windows-1252", "windows-1254", "windows-1256", "koi8-r", "shift_jis", "euc-jp", "gb18030", "gbk", "big5"),
        *("euc-kr", "utf-16"),
    )
)
"""Codecs that a page may name: those that only turn bytes into characters."""
