"""What the bots of this transport share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from zapwire.environment import for_children
from zapwire.errors import TransportError
from zapwire.model import BotId
from zapwire.proxy import Proxy
from zapwire.transport.whatsapp_web.devices import AuthFile
from zapwire.transport.whatsapp_web.engine import Engine
from zapwire.transport.whatsapp_web.pairing import Pairing
from zapwire.transport.whatsapp_web.reach import Way
from zapwire.transport.whatsapp_web.server_override import ENGINE, ServerOverride
from zapwire.transport.whatsapp_web.session import Session
from zapwire.transport.whatsapp_web.spool import Spool, Spools

LET_GO_DEADLINE: Final = 60.0
STARTS_AT_ONCE: Final = 48
"""Enough that all dials of a slow way are under way together (`Gate`): 30 or so at 150 ms of round-trip time.

A thousand bots that start together would be a thousand threads waiting at the gate, each with its deadline running.
"""


class Shared:
    """The engine, the auth files, and the sessions that may still be ending."""

    def __init__(
        self,
        engine: Engine,
        make_file: Callable[[BotId], AuthFile],
        override: ServerOverride | None,
        max_pairings: int,
        spools: Spools | None = None,
    ) -> None:
        self.engine = engine
        self._spools = spools
        self.max_pairings = max_pairings
        self.pairings = asyncio.Semaphore(max_pairings)
        self.starts = asyncio.Semaphore(STARTS_AT_ONCE)
        """A turn from the look into the auth database until the dial is done, in the order in which bots ask."""
        self.sessions: dict[BotId, Session] = {}
        self._make_file = make_file
        self._files: dict[BotId, AuthFile] = {}
        self._override = override
        self._ways: WeakValueDictionary[str, Way] = WeakValueDictionary()
        self.way = Way(override.proxy if override is not None else None)
        """That of all bots without a proxy of their own."""
        # Taken before the override's variables are hidden from Python: the pairing children need them.
        self._environment = (
            for_children(os.environ if override is None else override.environment(os.environ), network=True) | ENGINE
        )

    def file(self, bot: BotId) -> AuthFile:
        """The auth file of *bot*; always the same object, as it knows whether the engine has the file open."""
        if bot not in self._files:
            self._files[bot] = self._make_file(bot)
        return self._files[bot]

    @property
    def pairings_under_way(self) -> int:
        """How many bots are being paired."""
        return self.max_pairings - self.pairings._value  # noqa: SLF001 - asyncio does not tell it otherwise

    def spool(self, bot: BotId) -> Spool | None:
        """Where what comes in for *bot* is written down at once; None when nowhere."""
        return self._spools.of(bot) if self._spools is not None else None

    def destroy_spool(self, bot: BotId) -> None:
        """Delete what was written down for *bot*."""
        if self._spools is not None:
            self._spools.destroy(bot)

    @property
    def ca(self) -> Path | None:
        """What signs the certificate of the server in WhatsApp's place, if there is one."""
        return None if self._override is None else self._override.ca

    @property
    def global_proxy(self) -> bool:
        """Was the daemon started with a proxy for all bots, that of a server in WhatsApp's place left aside?"""
        return self._override is None and any(self._environment.get(name) for name in ("HTTPS_PROXY", "https_proxy"))

    def way_of(self, proxy: Proxy | None) -> Way:
        """The way through *proxy*, the same for all bots that have it; kept for as long as one of them does."""
        if proxy is None:
            return self.way
        found = self._ways.get(proxy.url)
        if found is None:
            found = self._ways[proxy.url] = Way(proxy.url, what="its proxy")
        return found

    async def close(self) -> None:
        """End what looks for a way, and let the engine's threads go."""
        for way in (self.way, *list(self._ways.values())):
            await way.close()
        self.engine.close()

    def pairing(self, bot: BotId, proxy: Proxy | None) -> Pairing:
        """A new attempt to pair *bot*."""
        root = self._override.noise_root if self._override is not None else None
        return Pairing(bot, self.file(bot).for_child(), root, self._environment, None if proxy is None else proxy.url)

    async def let_go(self, bot: BotId) -> None:
        """Wait until the engine is done with the last session of *bot*. Raises `TransportError` when it is not in
        time.
        """
        session = self.sessions.get(bot)
        if session is None:
            return
        try:
            async with asyncio.timeout(LET_GO_DEADLINE):
                await session.gone.wait()
        except TimeoutError:
            message = "the engine has not let go of this bot's last connection yet"
            raise TransportError(message) from None
        self.sessions.pop(bot, None)
