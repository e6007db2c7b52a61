"""Which version of WhatsApp Web the engine announces: its own, a given one, or the newest.

WhatsApp turns versions away that are too old (405), and then all bots at once. With `auto` its web page is asked once a
day, and when a bot is turned away; what it names is announced from the next start of a connection on, if it is newer.
docs/decisions/0023-a-version-that-follows.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from zapwire.model.errors import SettingsError
from zapwire.model.proxy import Proxy
from zapwire.runtime.durable_files import publish
from zapwire.runtime.file_threads import in_file_thread
from zapwire.runtime.instruments import VersionFigures
from zapwire.runtime.tasks import Tasks, supervise
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.private.announced_version import REVISIONS, VersionNotFound
from zapwire.transport.whatsapp_web.network.newest_revision import NoRevision

log = logging.getLogger(__name__)

Wanted: TypeAlias = Literal["engine", "auto"] | int
"""`engine`: its own; `auto`: the newest; a number N: 2.3000.N."""
Ask: TypeAlias = Callable[[Proxy | None], Awaitable[int]]

DAILY: Final = 86400.0
AGAIN: Final = 3600.0
"""Seconds until the page is asked again that could not be."""
REST: Final = 60.0
"""Seconds in which bots that are turned away share one answer of the page."""


class ClientVersion:
    """The engine's version, and what the setting makes of it; `begin` before the first connection."""

    def __init__(self, library: Library, wanted: Wanted, ask: Ask, file: Path, built: str | None = None) -> None:
        """*ask* gives the newest revision or raises `NoRevision`; *file* keeps it; *built* is the engine's day."""
        self._library = library
        self._wanted = wanted
        self._ask = ask
        self._file = file
        self._built = built
        own = library.announced
        self._own = None if own is None else own[-1]
        """The engine's own; None when it is not found, and then nothing can be announced instead."""
        self._newest: int | None = None
        self._problem: str | None = None
        self._asked: float | None = None
        self._asking = asyncio.Lock()
        self._tasks = Tasks()

    async def begin(self) -> None:
        """Announce what is wanted. Raises `SettingsError` when the engine cannot announce the given version."""
        if self._wanted == "engine":
            return
        if self._wanted != "auto":
            try:
                await in_file_thread(self._library.announce, self._wanted)
            except VersionNotFound as error:
                words = f"whatsapp_version: this engine cannot announce another version than its own ({error})"
                raise SettingsError(f"{words}: set it to engine", field="whatsapp_version") from None
            return
        await self._follow(await in_file_thread(_kept, self._file))
        self._tasks.spawn(supervise("asking for the newest version", self._ask_daily), "newest version")

    async def close(self) -> None:
        """Ask no more."""
        await self._tasks.cancel()

    @property
    def announced(self) -> int | None:
        """The third number of what is announced."""
        found = self._library.announced
        return None if found is None else found[-1]

    @property
    def replaced(self) -> int | None:
        """That, where it is not the engine's own: what another process with the engine has to announce, too."""
        return None if self.announced == self._own else self.announced

    def figures(self) -> VersionFigures:
        """For people."""
        newest = None if self._newest is None else _text(self._newest)
        announced = None if self.announced is None else _text(self.announced)
        return VersionFigures(announced, newest, self._problem, self._wanted == "auto", self._built)

    async def renew(self, refused: int | None, proxy: Proxy | None) -> bool:
        """A bot that announced *refused* was turned away as outdated: is another version announced now?

        Asks the web page through the bot's *proxy*, unless another bot did a moment ago.
        """
        if self._wanted != "auto":
            return False
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked is None or now - self._asked > REST:
                await self._look(proxy)
        return self.announced != refused

    async def _ask_daily(self) -> None:
        while True:
            async with self._asking:
                await self._look(None)
            await asyncio.sleep(AGAIN if self._problem else DAILY)

    async def _look(self, proxy: Proxy | None) -> None:
        self._asked = asyncio.get_running_loop().time()
        try:
            newest = await self._ask(proxy)
        except NoRevision as error:
            self._problem = error.detail
            log.warning("the newest version of WhatsApp Web is not known: %s", error.detail)
            return
        self._problem = None
        await self._follow(newest)

    async def _follow(self, newest: int | None) -> None:
        """Announce *newest*, or the engine's own where that is newer."""
        if newest is None or self._own is None:
            return
        self._newest = newest
        wanted = max(newest, self._own)
        if wanted == self.announced:
            return
        try:
            await in_file_thread(self._library.announce, wanted)
        except VersionNotFound as error:
            self._problem = f"this engine cannot announce another version than its own: {error}"
            log.warning("%s", self._problem)
            return
        log.info("WhatsApp Web %s is announced from now on; the engine's own is %s", _text(wanted), _text(self._own))
        await in_file_thread(_keep, self._file, wanted)


def _kept(file: Path) -> int | None:
    """What `_keep` wrote; None when there is nothing, or nothing that can be a revision."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() and len(text) <= len(str(REVISIONS.stop)) and int(text) in REVISIONS else None


def _keep(file: Path, revision: int) -> None:
    try:
        publish(file, [f"{revision}\n".encode()])
    except OSError as error:
        log.warning("the newest version of WhatsApp Web could not be kept for the next start: %s", error.strerror)


def _text(revision: int) -> str:
    return f"2.3000.{revision}"
