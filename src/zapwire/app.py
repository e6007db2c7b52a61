"""The daemon: start order is line order in `_run`, stopping is the reverse and takes no longer than a setting says."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from zapwire.api.relay import make_relay
from zapwire.api.sandbox import open_sandbox
from zapwire.api.server import make_app
from zapwire.core.assembly import open_core
from zapwire.core.tokens import Tokens
from zapwire.errors import SettingsError
from zapwire.settings import Address, Settings
from zapwire.store.db import Database
from zapwire.transport.whatsapp_web.factory import WhatsAppWeb
from zapwire.transport.whatsapp_web.server_override import read_descriptor

logger = logging.getLogger(__name__)

DRAIN = 3.0
"""Seconds that requests under way get to finish when the daemon stops."""

BOTS = "bots"
"""Folder of the auth databases in the sessions folder: a bot may be called like any file that lies beside it."""

Say = Callable[[str], None]
"""Prints one line for whoever started the daemon."""


def serve(settings: Settings, say: Say, *, demo: bool = False) -> None:
    """Run the daemon until SIGTERM or SIGINT; raises `SettingsError` or `StoreError` when it cannot start.

    With *demo* the first token is kept in the sessions folder and said at every start: the accounts are not real.
    """
    with asyncio.Runner() as runner:
        runner.run(_run(settings, say, demo=demo))


async def _run(settings: Settings, say: Say, *, demo: bool) -> None:
    stop = _stop_on_signals(settings.stop_timeout)
    server = read_descriptor(settings.whatsapp_server) if settings.whatsapp_server else None
    async with AsyncExitStack() as stack:
        # bound first: an address in use is told before any bot connects
        listener = stack.enter_context(_bind(settings.listen))
        settings.sessions_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = await stack.enter_async_context(Database.open(settings.database_file))
        transports = await stack.enter_async_context(
            WhatsAppWeb(settings.sessions_dir / BOTS, server, settings.max_pairings)
        )
        sandbox = None
        if server is not None:
            logger.warning("NOT connected to WhatsApp: all bots talk to %s", server.socket_url)
            sandbox = await stack.enter_async_context(open_sandbox(server.socket_url, server.ca, server.admin))
            if sandbox.has_phones:
                place = stack.enter_context(_bind(Address("127.0.0.1", 0)))
                relay = _listen(make_relay(sandbox, settings), place, drain=0.1)
                sandbox.page = await stack.enter_async_context(relay) + "/"
        core = await stack.enter_async_context(open_core(database, transports))
        fixed = [settings.admin_token.get_secret_value()] if settings.admin_token else []
        app = make_app(core, settings, sandbox=sandbox, fixed_tokens=fixed)
        url = await stack.enter_async_context(_listen(app, listener))
        say(f"zapwire listening on {url}")
        await _say_first_token(core.tokens, settings, say, url, demo=demo)
        notify("READY=1")
        logger.info("ready", extra={"url": url})
        await stop.wait()
        notify("STOPPING=1")
        logger.info("stopping")
    logger.info("stopped")


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
        raise SettingsError(f"listen: cannot listen on {address}: {error.strerror}", field="listen") from None
    return listener


@asynccontextmanager
async def _listen(app: web.Application, listener: socket.socket, drain: float = DRAIN) -> AsyncIterator[str]:
    """Serve *app*; yields the address as a URL. On leaving, requests under way get *drain* seconds."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=drain)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        host, port = listener.getsockname()[:2]
        yield f"http://{Address(host, port)}"
    finally:
        await runner.cleanup()


def _stop_on_signals(limit: float) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; a second signal, or *limit* seconds, end the process the hard way."""
    stop = asyncio.Event()

    def leave() -> None:
        logger.critical("the stop took too long or was asked for twice: leaving at once")
        logging.shutdown()
        os._exit(1)

    def on_signal() -> None:
        if stop.is_set():
            leave()
        stop.set()
        # a thread, because what hangs may be the event loop or the interpreter's own exit
        watchdog = threading.Timer(limit, leave)
        watchdog.daemon = True
        watchdog.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop


def notify(state: str) -> None:
    """Tell systemd, when it started us with Type=notify (sd_notify(3))."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect("\0" + place[1:] if place.startswith("@") else place)
            out.sendall(state.encode())
        except OSError as error:
            logger.warning("systemd cannot be told %r: %s", state, error)
