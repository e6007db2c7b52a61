"""Where the rest of the program takes hold of this transport."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from zapwire.model.bots import BotId
from zapwire.model.errors import Blocked, SettingsError, TransportError
from zapwire.model.proxy import Proxy
from zapwire.runtime.file_threads import in_file_thread
from zapwire.runtime.instruments import EngineFigures
from zapwire.transport.whatsapp_web.auth import sealed
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile
from zapwire.transport.whatsapp_web.auth.plain import PlainAuthFile
from zapwire.transport.whatsapp_web.client_version import Wanted
from zapwire.transport.whatsapp_web.engine import fd_limits, stdout
from zapwire.transport.whatsapp_web.engine.build_date import built_on
from zapwire.transport.whatsapp_web.engine.crash_marker import CrashMarker
from zapwire.transport.whatsapp_web.engine.engine import Engine, library_path
from zapwire.transport.whatsapp_web.engine.private import builds
from zapwire.transport.whatsapp_web.inbound.spool import Spools
from zapwire.transport.whatsapp_web.network import proxy_check
from zapwire.transport.whatsapp_web.network.server_override import (
    ENGINE,
    ServerOverride,
    fits_engine,
    hide_environment,
    read_descriptor,
)
from zapwire.transport.whatsapp_web.pairing.pairing import Way
from zapwire.transport.whatsapp_web.shared import SharedEngine
from zapwire.transport.whatsapp_web.transport import WhatsAppWebTransport
from zapwire.vault.keys import KeyRing

CLOSE_DEADLINE: Final = 5.0
VERSION_FILE: Final = "whatsapp-version"
"""Beside the folder of the bots: the newest version that is known, for the next start."""
FLAGS: Final = (builds.BUFFER_DECRYPTED, builds.KEEP_SENT, builds.LEAVE_HISTORY)
"""What is switched on in each client of a known build."""


class WhatsAppWeb:
    """Makes the bots' transports; implements `TransportFactory` and the optional protocols of factories.

    An async context manager: entering loads the engine, leaving waits a little for what is still ending.
    """

    def __init__(
        self,
        sessions_dir: Path,
        server: Path | ServerOverride | None = None,
        max_pairings: int = 20,
        *,
        keys: KeyRing | None,
        spools: Spools | None = None,
        pairing: Way = "auto",
        version: Wanted = "engine",
        sees_time_locks: bool = False,
        known_builds: Iterable[builds.Build] = builds.KNOWN,
    ) -> None:
        """*server* is a server in WhatsApp's place, or the file that describes it; raises `SettingsError` about that
        file. *keys* seal the auth state; None keeps it in the clear. *spools* keep what came in over the death of the
        process; without them some milliseconds of it are lost. *known_builds* are those of the engine that are looked
        into; with none of them the daemon works as on a machine whose build is not known. *pairing* says who
        pairs, *version* which version of WhatsApp Web is announced. With *sees_time_locks* the engine logs every
        stanza, as it tells of a reach-out time-lock in no other way.

        This process' environment has to fit it: see `server_override.ensure_environment`.
        """
        self._folder = sessions_dir.absolute()
        self.server = read_descriptor(server) if isinstance(server, Path) else server
        """The server in WhatsApp's place, or None; to be said loudly."""
        self._max_pairings = max_pairings
        self._keys = keys
        self._spools = spools
        self._known_builds = known_builds
        self._pairing: Way = pairing
        self._version: Wanted = version
        self._sees_time_locks = sees_time_locks
        self._shared: SharedEngine | None = None

    async def __aenter__(self) -> Self:
        """Load the engine and make sure that it seals. Raises `SettingsError` when it cannot be used."""
        if not fits_engine():
            names = " ".join(f"{name}={value}" for name, value in ENGINE.items())
            message = f"the process has to be started with {names} in its environment"
            raise SettingsError(message)
        stdout.divert()
        fd_limits.raise_limit()
        root = self.server.noise_root if self.server is not None else None
        engine = await Engine.load(root, FLAGS, self._known_builds, sees_stanzas=self._sees_time_locks)
        self._shared = SharedEngine(
            engine,
            await self._files(),
            self.server,
            self._max_pairings,
            self._spools,
            way_to_pair=self._pairing,
            version=self._version,
            version_file=self._folder.parent / VERSION_FILE,
            built=await in_file_thread(built_on, library_path()),
        )
        await self._shared.version.begin()
        hide_environment()
        return self

    async def _files(self) -> Callable[[BotId], AuthFile]:
        keys = self._keys
        if keys is None:
            return partial(PlainAuthFile, self._folder)
        vfs = await in_file_thread(sealed.start, library_path(), self._folder, keys)
        return partial(sealed.SealedAuthFile, self._folder, vfs=vfs, ring=keys)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared = self._entered
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE):
                for session in list(shared.sessions.values()):
                    await session.gone.wait()
        await shared.close()
        self._shared = None

    def __call__(self, bot: BotId) -> WhatsAppWebTransport:
        """Make the transport of *bot*; does no I/O."""
        return WhatsAppWebTransport(self._entered, bot)

    async def state(self, bot: BotId, *, at_rest: bool) -> bytes:
        """See `KeepsAuthState.state`."""
        if at_rest:
            await self._entered.let_go(bot)
        return await self._entered.file(bot).copy()

    async def keeps(self, bot: BotId) -> bool:
        """See `KeepsAuthState.keeps`. What holds no device is what an unfinished pairing left, and worth nothing."""
        try:
            return await self._entered.file(bot).device() is not None
        except Blocked:
            return True

    async def adopt(self, bot: BotId, state: bytes) -> None:
        """See `KeepsAuthState.adopt`."""
        await self._entered.file(bot).put(state)

    async def forget(self, bot: BotId) -> None:
        """Destroy the auth state of *bot*, whose transport must not be running; no error when there is none."""
        # An engine that does not let go keeps the deleted file for itself; nobody finds it again.
        with contextlib.suppress(TransportError):
            await self._entered.let_go(bot)
        file = self._entered.file(bot)
        CrashMarker(file.path.parent, bot).take()
        await file.destroy()
        self._entered.destroy_spool(bot)

    async def answers(self) -> None:
        """See `zapwire.transport.protocol.Watched`."""
        await self._entered.engine.answers()

    def stuck(self) -> int:
        """See `zapwire.transport.protocol.Watched`."""
        return self._entered.engine.stuck()

    async def try_proxy(self, proxy: Proxy) -> None:
        """See `zapwire.transport.protocol.TriesProxies`."""
        if proxy.scheme == "socks5" and self._entered.global_proxy:
            message = (
                "zapwire was started with HTTPS_PROXY, which the engine would use behind a SOCKS5 proxy: "
                "start it without, or give an HTTP proxy"
            )
            raise TransportError(message)
        await proxy_check.try_proxy(proxy, self._entered.ca)

    def figures(self) -> EngineFigures:
        """See `zapwire.transport.protocol.Measured`."""
        shared = self._entered
        gate = shared.engine.gate
        clients = sum(session.running.done() and not session.gone.is_set() for session in shared.sessions.values())
        return EngineFigures(clients, gate.passed, gate.waited, shared.pairings_under_way, shared.version.figures())

    @property
    def _entered(self) -> SharedEngine:
        if self._shared is None:
            message = "WhatsAppWeb is used outside its context"
            raise RuntimeError(message)
        return self._shared
