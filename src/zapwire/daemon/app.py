"""The daemon: start order is line order in `_run`, stopping is the reverse and takes no longer than a setting says."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop
from aiohttp import web

from zapwire.api.http import listener as listening
from zapwire.api.http.context import SELF_CHECK, START
from zapwire.api.sandbox.client import open_sandbox
from zapwire.api.sandbox.reverse_proxy import make_relay
from zapwire.api.server import make_app
from zapwire.core.access.tokens import Tokens
from zapwire.core.events.subscriptions import Subscriptions
from zapwire.core.tuning import Tuning
from zapwire.core.wiring import open_core
from zapwire.daemon.self_restart import execute_again
from zapwire.daemon.shutdown import Stop, watch
from zapwire.daemon.watchdog import emit_start, watch_over
from zapwire.maintenance.master_key import unlock
from zapwire.model.bots import TransportKind
from zapwire.model.errors import SettingsError
from zapwire.model.events import Event, EventType
from zapwire.model.pairing import PairingOptions
from zapwire.runtime import instance_lock
from zapwire.runtime.run_marker import RESTARTED, STOPPED, RunMarker
from zapwire.runtime.systemd import notify
from zapwire.runtime.tasks import Tasks, supervise
from zapwire.settings import BOTS, MEDIA, SPOOLS, Address, Settings, make_sessions_dir
from zapwire.store.sqlite.database import Database
from zapwire.transport.registry import TransportRegistry
from zapwire.transport.whatsapp_web.client_version import Wanted
from zapwire.transport.whatsapp_web.factory import WhatsAppWeb
from zapwire.transport.whatsapp_web.inbound.spool import Spools
from zapwire.transport.whatsapp_web.network.server_override import read_descriptor
from zapwire.vault.sources import Source

logger = logging.getLogger(__name__)

DRAIN = 3.0
"""Seconds that requests under way get to finish when the daemon stops."""

Say = Callable[[str], None]
"""Prints one line for whoever started the daemon."""


def serve(settings: Settings, say: Say, *, sandbox: int | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT; raises `SettingsError` or `StoreError` when it cannot start.

    *sandbox* is the process id of a sandbox of our own: when that ends by itself the daemon stops too, and this raises
    `SandboxEnded`. The first token is then kept in the sessions folder and said at every start: no account is real.
    """
    # uvloop: the loop itself takes a tenth less processor, and every step of one passes it
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        self_restart = runner.run(_run(settings, say, sandbox))
    if self_restart:
        notify("WATCHDOG=1")
        execute_again()


async def _run(settings: Settings, say: Say, sandbox_process: int | None) -> bool:
    """Run until the stop; True when the program is to be executed again."""
    stop = Stop(settings.stop_timeout)
    server = read_descriptor(settings.whatsapp_server) if settings.whatsapp_server else None
    async with AsyncExitStack() as stack:
        if sandbox_process is not None:
            stack.enter_context(watch(sandbox_process, stop))
        instance_lock.refuse_when_held(settings.sessions_dir)
        # bound before anything is made: an address in use is told at once
        listener = stack.enter_context(_bind(settings.listen))
        make_sessions_dir(settings.sessions_dir)
        lock = stack.enter_context(instance_lock.hold(settings.sessions_dir))
        source = unlock(settings)
        keys = source.keys
        database = await stack.enter_async_context(Database.open(settings.database_file, keys))
        sealing = keys if settings.auth_state == "sealed" else None
        if sealing is None:
            logger.warning("auth state is stored in the clear: whoever reads %s is the bots", settings.sessions_dir)
        whatsapp_web = await stack.enter_async_context(
            WhatsAppWeb(
                settings.sessions_dir / BOTS,
                server,
                settings.max_pairings,
                keys=sealing,
                spools=Spools(settings.sessions_dir / SPOOLS, keys),
                pairing=settings.pairing,
                version=_version(settings.whatsapp_version),
                sees_time_locks=settings.see_time_locks,
            )
        )
        transports = TransportRegistry({TransportKind.WHATSAPP_WEB: whatsapp_web})
        sandbox = None
        if server is not None:
            logger.warning("NOT connected to WhatsApp: all bots talk to %s", server.socket_url)
            sandbox = await stack.enter_async_context(open_sandbox(server.socket_url, server.ca, server.admin))
            if sandbox.has_phones:
                place = stack.enter_context(_bind(Address("127.0.0.1", 0)))
                relay = _listen(make_relay(sandbox, settings), place, settings.max_connections, drain=0.1)
                sandbox.page = await stack.enter_async_context(relay) + "/"
        run = RunMarker.begin(settings.sessions_dir, settings.database_file)
        await emit_start(database, run.start)
        core = await stack.enter_async_context(
            open_core(
                database,
                transports,
                limits=_limits(settings),
                webhook_networks=settings.webhook_allow_networks,
                proxy_networks=settings.proxy_allow_networks,
                default_country=settings.default_country,
                media_folder=settings.sessions_dir / MEDIA,
                media_networks=settings.media_allow_networks,
                pairing_options=PairingOptions(
                    settings.device_name,
                    settings.device_platform,
                    settings.full_history or None,
                    settings.pairing_timeout,
                ),
            )
        )
        await stack.enter_async_context(_states_in_log(core.subscriptions))
        fixed = [settings.admin_token.get_secret_value()] if settings.admin_token else []
        self_check = await stack.enter_async_context(
            watch_over(settings, database, transports, run, stop.self_restart, bots=core.bots)
        )
        warnings = _warnings(settings, source, demo=sandbox_process is not None)
        app = make_app(core, settings, sandbox=sandbox, fixed_tokens=fixed, warnings=warnings)
        app[START], app[SELF_CHECK] = run.start, self_check
        url = await stack.enter_async_context(_listen(app, listener, settings.max_connections))
        lock.listening(url)
        say(f"zapwire listening on {url}")
        await _say_first_token(core.tokens, settings, say, url, demo=sandbox_process is not None)
        notify("READY=1")
        logger.info("ready", extra={"url": url, "new_token": _token_command(settings)})
        await stop.wait()
        notify("STOPPING=1" if stop.restarting is None else "STATUS=restarting itself\nWATCHDOG=1")
        logger.info("stopping", extra={"signal": stop.signal} if stop.signal else None)
    run.end(STOPPED if stop.restarting is None else RESTARTED)
    logger.info("stopped")
    return stop.restarting is not None


def _warnings(settings: Settings, source: Source, *, demo: bool) -> list[str]:
    """What is weak about this installation, as anybody may know it; a demo has nothing to protect."""
    found = ["auth state is stored in the clear"] if settings.auth_state == "plain" else []
    if source.warning is not None and not demo:
        found.append("the master key lies beside the data and protects only copies without it (docs/security.md)")
    return found


def _version(setting: str) -> Wanted:
    return "auto" if setting == "auto" else "engine" if setting == "engine" else int(setting.rpartition(".")[2])


def _limits(settings: Settings) -> Tuning:
    day = 24 * 3600.0
    return Tuning(
        probe_interval=settings.probe_interval,
        logout_kept=settings.logout_kept_days * day,
        keep_events=settings.keep_events_days * day,
        keep_messages=settings.keep_messages_days * day,
        list_fallback=settings.list_fallback,
        keep_media=settings.keep_media_days * day,
        media_quota=settings.media_quota_mb << 20,
        pacing=settings.pacing,
        ignore=settings.ignore,
    )


async def _say_first_token(tokens: Tokens, settings: Settings, say: Say, url: str, *, demo: bool) -> None:
    """On the first start make a token and show it, once; somebody who set an admin token has one already."""
    kept = settings.sessions_dir / "demo-token"
    secret = kept.read_text() if demo and kept.exists() else None
    if secret is not None and await tokens.check(secret) is None:
        secret = None
    if secret is None and not settings.admin_token and (demo or await tokens.count() == 0):
        _, secret = await tokens.create("demo" if demo else "first")
        if demo:
            _write_secret(kept, secret)
        else:
            say(f"first token, shown only now: {secret}")
    if secret is not None:
        # the fragment never leaves the browser, so the token gets into no log
        say(
            f"open the page: {url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')}/#token={secret}"
        )


def _token_command(settings: Settings) -> str:
    """What a person types on this machine to get a token for this very daemon."""
    script = Path(sys.argv[0]).absolute()
    program = [sys.executable, "-m", "zapwire"] if script.name == "__main__.py" else [str(script)]
    database = ["--database", str(settings.database.resolve())] if settings.database else []
    place = ["--sessions-dir", str(settings.sessions_dir.resolve()), *database]
    return shlex.join([*program, "token", "create", *place, "NAME"])


def _write_secret(file: Path, secret: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(secret)


def _bind(address: Address) -> socket.socket:
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        taken = "; another zapwire may be running there: stop it, or choose a port with --listen or ZAPWIRE_LISTEN"
        hint = taken if error.errno == errno.EADDRINUSE else ""
        raise SettingsError(f"listen: cannot listen on {address}: {error.strerror}{hint}", field="listen") from None
    return listener


@asynccontextmanager
async def _listen(app: web.Application, listener: socket.socket, most: int, drain: float = DRAIN) -> AsyncIterator[str]:
    """Serve *app*; yields the address as a URL. On leaving, requests under way get *drain* seconds."""
    host, port = listener.getsockname()[:2]
    async with listening.serve(app, listener, drain=drain, most=most):
        yield f"http://{Address(host, port)}"


@asynccontextmanager
async def _states_in_log(live: Subscriptions) -> AsyncIterator[None]:
    """Log what each bot does from now on: a line for each new state, not for each try."""
    events = live.follower(types=[EventType.BOT_STATE])
    known: dict[str, str] = {}

    async def write() -> None:
        while True:
            for event in await events.batch():
                if isinstance(event, Event) and known.get(event.bot) != event.data["state"]:
                    state, reason = event.data["state"], event.data["reason"]
                    known[event.bot] = state
                    logger.info("bot %s: %s%s", event.bot, state, f" ({reason})" if reason else "")

    tasks = Tasks()
    tasks.spawn(supervise("the bots' states in the log", write), "states of the bots in the log")
    try:
        yield
    finally:
        await tasks.cancel()
