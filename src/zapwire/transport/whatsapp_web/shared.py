"""What the bots of this transport share."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from zapwire.model.bots import BotId
from zapwire.model.errors import TransportError
from zapwire.model.pairing import PairingOptions
from zapwire.model.proxy import Proxy
from zapwire.runtime.child_environment import for_children
from zapwire.runtime.file_threads import in_file_thread
from zapwire.runtime.tasks import spawn
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile
from zapwire.transport.whatsapp_web.client_version import ClientVersion, Wanted
from zapwire.transport.whatsapp_web.engine.engine import Engine, library_path
from zapwire.transport.whatsapp_web.engine.private.noise_root import ROOT_OF_WHATSAPP
from zapwire.transport.whatsapp_web.inbound.spool import Spool, Spools
from zapwire.transport.whatsapp_web.network import newest_revision
from zapwire.transport.whatsapp_web.network.line import LineMaker, UnusableProxy, proxy_for_all
from zapwire.transport.whatsapp_web.network.preflight import NetworkPath
from zapwire.transport.whatsapp_web.network.server_override import ENGINE, ServerOverride
from zapwire.transport.whatsapp_web.pairing.engine_child.attempt import ChildAttempt
from zapwire.transport.whatsapp_web.pairing.own.client import OwnAttempt, OwnClient
from zapwire.transport.whatsapp_web.pairing.own.device_row import learn_template
from zapwire.transport.whatsapp_web.pairing.pairing import Pairing, Turns, Way
from zapwire.transport.whatsapp_web.session import EngineSession
from zapwire.vault.sqlite import SqliteError

log = logging.getLogger(__name__)

_UNUSABLE: Final = "HTTPS_PROXY is a proxy that only the engine can use"
CHILDREN_AT_ONCE: Final = 16
"""Processes that pair with the engine at one time, 21 MiB each; our own client needs a hundredth of that."""
LET_GO_DEADLINE: Final = 60.0
STARTS_AT_ONCE: Final = 48
"""Enough that all dials of a slow way are under way together (`Gate`): 30 or so at 150 ms of round-trip time.

A thousand bots that start together would be a thousand threads waiting at the gate, each with its deadline running.
"""


class SharedEngine:
    """The engine, the auth files, and the sessions that may still be ending."""

    def __init__(
        self,
        engine: Engine,
        make_file: Callable[[BotId], AuthFile],
        override: ServerOverride | None,
        max_pairings: int,
        spools: Spools | None = None,
        *,
        way_to_pair: Way = "auto",
        version: Wanted = "engine",
        version_file: Path,
        built: str | None = None,
    ) -> None:
        self.engine = engine
        self._spools = spools
        self._way_to_pair: Way = way_to_pair
        self._own_turns = Turns(max_pairings)
        self._engine_turns = Turns(min(max_pairings, CHILDREN_AT_ONCE))
        self.starts = asyncio.Semaphore(STARTS_AT_ONCE)
        """A turn from the look into the auth database until the dial is done, in the order in which bots ask."""
        self.sessions: dict[BotId, EngineSession] = {}
        self._make_file = make_file
        self._files: dict[BotId, AuthFile] = {}
        self._override = override
        self._ways: WeakValueDictionary[str, NetworkPath] = WeakValueDictionary()
        self.way = NetworkPath(override.proxy if override is not None else None)
        """That of all bots without a proxy of their own."""
        # Taken before the override's variables are hidden from Python: the pairing children need them.
        self._environment = (
            for_children(os.environ if override is None else override.environment(os.environ), network=True) | ENGINE
        )
        self.lines = self._line_maker()
        """For what dials without the engine; None where only the engine can use the proxy for all bots."""
        self.version = ClientVersion(engine.library, version, self._newest_revision, version_file, built)
        self._own = self._own_client()
        self._template: asyncio.Future[bytes] | None = None

    def file(self, bot: BotId) -> AuthFile:
        """The auth file of *bot*; always the same object, as it knows whether the engine has the file open."""
        if bot not in self._files:
            self._files[bot] = self._make_file(bot)
        return self._files[bot]

    @property
    def pairings_under_way(self) -> int:
        """How many bots are being paired."""
        return self._own_turns.taken + self._engine_turns.taken

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

    def way_of(self, proxy: Proxy | None) -> NetworkPath:
        """The way through *proxy*, the same for all bots that have it; kept for as long as one of them does."""
        if proxy is None:
            return self.way
        found = self._ways.get(proxy.url)
        if found is None:
            found = self._ways[proxy.url] = NetworkPath(proxy.url, what="its proxy")
        return found

    async def close(self) -> None:
        """End what looks for a way, and let the engine's threads go."""
        for way in (self.way, *list(self._ways.values())):
            await way.close()
        await self.version.close()
        self.engine.close()

    async def pairing(self, bot: BotId, proxy: Proxy | None, options: PairingOptions, *, own_at_once: bool) -> Pairing:
        """A new pairing of *bot*; *own_at_once*: where the setting leaves it open, our own client begins."""
        file, own = self.file(bot), await self._usable_own_client()
        root = self._override.noise_root if self._override is not None else None
        url = None if proxy is None else proxy.url
        engine = partial(ChildAttempt, bot, file, root, self._environment, url, options=options, version=self.version)
        ours = None if own is None else (partial(OwnAttempt, own, file, proxy, options), self._own_turns)
        at_once = own_at_once and ours is not None and self._way_to_pair == "auto"
        way: Way = "own" if at_once else self._way_to_pair
        return Pairing(file, way, (engine, self._engine_turns), ours, options.timeout)

    def _line_maker(self) -> LineMaker | None:
        try:
            return LineMaker(self.ca, proxy_for_all(None if self._override is None else self._override.proxy))
        except UnusableProxy:
            return None

    async def _newest_revision(self, proxy: Proxy | None) -> int:
        if self.lines is None:
            raise newest_revision.NoRevision(_UNUSABLE)
        return await newest_revision.ask(self.lines, proxy)

    def _own_client(self) -> OwnClient | None:
        """What attempts of our own client need; None where it cannot be used, which is logged."""
        if self._way_to_pair == "engine":
            return None
        override = self._override
        library = self.engine.library
        version = library.announced
        if version is None:
            log.warning("the engine's version of WhatsApp Web was not found: only the engine pairs, without passkeys")
            return None
        if self.lines is None:
            log.warning("%s: only the engine pairs, without passkeys", _UNUSABLE)
            return None
        root = ROOT_OF_WHATSAPP if override is None else override.noise_root
        return OwnClient(self.lines, root, lambda: library.announced or version, self._learn_template)

    async def _usable_own_client(self) -> OwnClient | None:
        """Our own client, once it is known that what it leaves behind fits this build of the engine."""
        if self._own is not None:
            try:
                await self._learn_template()
            except (SqliteError, sqlite3.Error, TransportError):
                # for this time: the next pairing tries again
                log.exception("the engine's store is not as it should be: only the engine pairs, without passkeys")
                return None
        return self._own

    async def _learn_template(self) -> bytes:
        """An empty auth database; learnt once, by whoever is first, and given to all."""
        if self._template is None or (self._template.done() and self._template.exception() is not None):
            learning = in_file_thread(learn_template, self.engine.library, library_path())
            self._template = spawn(learning, "template of auth databases", awaited=True)
        return await asyncio.shield(self._template)

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
