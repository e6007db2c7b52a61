"""One run of the engine for one bot: from the start of its client to the end of its thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from zapwire.model.bots import Identity
from zapwire.model.errors import LoggedOut, NotConnected, TransportError, ZapwireError
from zapwire.model.jid import LID_SERVER, PHONE_SERVER
from zapwire.transport.whatsapp_web.addresses import jid_bytes
from zapwire.transport.whatsapp_web.engine import disconnect_reasons, event_codes, log_lines
from zapwire.transport.whatsapp_web.engine.call_pool import in_thread, tell_loop
from zapwire.transport.whatsapp_web.engine.callbacks import Callbacks
from zapwire.transport.whatsapp_web.engine.crash_marker import CrashMarker
from zapwire.transport.whatsapp_web.engine.dial_errors import from_start_error, unreachable
from zapwire.transport.whatsapp_web.engine.engine import BEGIN_WITHIN, Engine
from zapwire.transport.whatsapp_web.engine.event_pump import PumpEnded
from zapwire.transport.whatsapp_web.engine.exports import BadArgument
from zapwire.transport.whatsapp_web.engine.gate import GateChange
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.log_lines import LogLine
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.engine.untrusted_text import text_of
from zapwire.transport.whatsapp_web.inbound.decode import id_of, read_identity, unreadable_event, with_kind
from zapwire.transport.whatsapp_web.inbound.event_queue import EventQueue
from zapwire.transport.whatsapp_web.inbound.spool import Spool

T = TypeVar("T")

log = logging.getLogger(__name__)

DIAL_DEADLINE: Final = 30.0
STOP_PROMPT: Final = 8.0
"""How long `stop` is waited for; what takes longer ends by itself (`EngineSession.gone`)."""
STOP_DIALLING: Final = 1.0
"""The same while a dial is under way, which nothing can cut short."""
LOOK_UP_DEADLINE: Final = 5.0
"""Seconds for a call that needs no network: the engine's databases wait no longer for each other."""
DRAIN_QUIET: Final = 0.2
"""Seconds of silence after a disconnect that say that the engine has told all it took."""
DRAIN_DEADLINE: Final = 2.0
UNAVAILABLE: Final = 256
"""Log lines that are kept until their event comes, which waits behind 100 others at most."""
_NUMBERS: Final = count()


class EngineSession:
    """A client in the engine. `start`, use, `stop`; never started again."""

    def __init__(
        self,
        engine: Engine,
        bot: str,
        dsn: str,
        *,
        spool: Spool | None = None,
        proxy: str | None = None,
        last_words: CrashMarker | None = None,
        subscribed: bytes = event_codes.SUBSCRIBED,
    ) -> None:
        self._last_words = last_words
        self._subscribed = subscribed
        self._engine = engine
        self._bot = bot.encode()
        self._dsn = dsn.encode()
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._callbacks: Callbacks | None = None
        self._change: GateChange | None = None
        self._registered = False
        """Calls may be made: without a client in its table the engine would crash."""
        self._stopping = False
        """`stop` was called: a client that is not started yet is not started any more."""
        self._stuck = False
        """The client's thread will never end."""
        number = next(_NUMBERS)
        # Of this session alone: calls that hang in an earlier one of the bot are not its own.
        self._sender, self._asker, self._reader = (f"{bot} {number} {what}" for what in ("sends", "asks", "looks up"))
        self._settled = threading.Event()
        """The start is over: the client runs, or its thread has ended."""
        self._parked: threading.Thread | None = None
        self.incoming = EventQueue(self._loop, spool=spool)
        self.running: asyncio.Future[None] = self._loop.create_future()
        """Done when the client runs."""
        self.failed: asyncio.Future[ZapwireError] = self._loop.create_future()
        """Holds why the session cannot go on, once it cannot."""
        self.gone = asyncio.Event()
        """The engine has let go of the client and its thread has ended."""
        self.heard: float | None = None
        """When something last came in, by `time.monotonic`."""
        self._unavailable: dict[str, str] = {}
        """Messages that the log called unavailable, by id: of which kind; the event does not tell."""
        self.time_lock: log_lines.TimeLock | None = None
        """What was last said of a reach-out time-lock, until somebody has taken it."""
        self.problem: TransportError | None = None
        """Why the engine's latest own attempt to reconnect failed; None after it worked."""
        self.logged_out = False
        """The engine told the event that WhatsApp logged this device out; it then deletes the device."""
        self.logged_in = False
        """WhatsApp took the login at least once; kept by who takes the events."""
        self.news = asyncio.Event()
        """Set when `problem` changes."""

    async def start(self) -> None:
        """Start the client and wait until it has dialled.

        Raises `TransportError` when WhatsApp cannot be reached, or what the server said instead (`NeedsPerson`).
        """
        self._callbacks = self._engine.callbacks.lend(self)
        self._parked = in_thread(f"engine-{self._bot.decode()}", self._park)
        done, _ = await asyncio.wait(
            (self.running, self.failed), timeout=DIAL_DEADLINE, return_when=asyncio.FIRST_COMPLETED
        )
        if self.failed in done:
            raise self.failed.result()
        if not done:
            raise unreachable("timeout")

    async def send(self, function: Callable[..., T], *arguments: Any, end_within: float) -> T:
        """Run a method of the library that sends a message for this client.

        Raises `NotConnected` when nothing was handed over (the client does not run, or no thread was free in time), and
        TimeoutError *end_within* seconds after it was.
        """
        job = partial(self._checked, function, *arguments)
        return await self._engine.sends.run(self._sender, job, begin_within=BEGIN_WITHIN, end_within=end_within)

    async def ask(self, function: Callable[..., T], *arguments: Any, end_within: float) -> T:
        """Run a method of the library that asks WhatsApp something; raises like `send`."""
        job = partial(self._checked, function, *arguments)
        return await self._engine.questions.run(self._asker, job, begin_within=BEGIN_WITHIN, end_within=end_within)

    async def look_up(self, function: Callable[..., T], *arguments: Any, within: float = LOOK_UP_DEADLINE) -> T:
        """Run a method of the library that needs no network. Raises `NotConnected` and TimeoutError: nothing is known,
        neither of the client nor of its connection.
        """
        job = partial(self._checked, function, *arguments)
        return await self._engine.questions.run(self._reader, job, begin_within=within, end_within=within)

    @property
    def sending_for(self) -> float:
        """For how many seconds the oldest send of this client has been running; 0 when none is."""
        return self._engine.sends.longest(self._sender)

    @property
    def asking_for(self) -> float:
        """For how many seconds WhatsApp has not answered the oldest question; 0 when none is open."""
        return self._engine.questions.longest(self._asker)

    def _checked(self, function: Callable[..., T], *arguments: Any) -> T:
        if not self._registered:
            message = "the bot is not connected to WhatsApp"
            raise NotConnected(message)
        return function(self._bot, *arguments)

    @property
    def takes_receipts(self) -> bool:
        """Does the engine tell receipts?"""
        return event_codes.RECEIPT in self._subscribed

    @property
    def library(self) -> Library:
        """The engine's calls, for `call`."""
        return self._engine.library

    async def phone_of_lid(self, user: str, within: float = LOOK_UP_DEADLINE) -> str | None:
        """The phone number (digits) of the account with the LID whose user part is *user*; None when the engine's store
        does not know it. Raises like `look_up`.
        """
        return await self._other_address(self._engine.library.phone_of_lid, user, LID_SERVER, within)

    async def lid_of_phone(self, user: str, within: float = LOOK_UP_DEADLINE) -> str | None:
        """The user part of the LID of the account with the phone number *user* (digits); otherwise like
        `phone_of_lid`.
        """
        return await self._other_address(self._engine.library.lid_of_phone, user, PHONE_SERVER, within)

    async def _other_address(
        self, look_up: Callable[[bytes, bytes], bytes], user: str, server: str, within: float
    ) -> str | None:
        try:
            answer = await self.look_up(look_up, jid_bytes(user, server), within=within)
        except BadArgument:  # a stranger's odd address, which has no other one
            return None
        return text_of(neonize.GetJIDFromStoreReturnFunction.FromString(answer).Jid.User) or None

    async def identity(self) -> Identity:
        """The account as the engine knows it now. Raises like `look_up`."""
        return read_identity(await self.look_up(self._engine.library.me))

    async def stop(self) -> None:
        """Disconnect, let what came in be dealt with, and stop the client.

        The caller keeps on emptying `incoming` meanwhile. Returns within `STOP_PROMPT`; `gone` tells the real end.
        """
        if self._parked is None:
            self.gone.set()
            return
        if not self._stopping:  # a second take-down could hit the bot's next client
            self._stopping = True
            in_thread(f"engine-stop-{self._bot.decode()}", self._take_down)
        try:
            async with asyncio.timeout(STOP_PROMPT if self._settled.is_set() else STOP_DIALLING):
                await self.gone.wait()
        except TimeoutError:
            log.warning("the engine is slow to let a bot go; waiting in the background")

    def _have_problem(self, problem: TransportError) -> None:
        self.problem = problem
        self.news.set()

    def _have_time_lock(self, lock: log_lines.TimeLock) -> None:
        self.time_lock = lock
        self.news.set()

    # The engine's threads, from here on.

    def _park(self) -> None:
        """Body of the thread that the client lives in."""
        self._change = self._engine.gate.begin_start(self._proxy or "")
        if self._stopping:
            self._engine.gate.end(self._change)
            self._settled.set()
            return
        assert self._callbacks is not None  # noqa: S101 - lent before this thread was made
        start, functions = self._engine.library.start, self._callbacks.functions
        level = self._engine.log_level
        error = start(self._dsn, self._bot, self._subscribed, b"", functions, proxy=self._proxy, log_level=level)
        self._engine.gate.end(self._change)
        started = self._settled.is_set()
        self._settled.set()
        if started:
            self._disconnect_at_once()
            self.fail(PumpEnded(error))
        else:
            self.fail(from_start_error(error))

    def _disconnect_at_once(self) -> None:
        """Keep the client from taking more, as nobody would hear of it: it goes on without its pump."""
        if not self._stopping:
            with self._engine.gate.call():
                self._engine.library.disconnect(self._bot)

    def on_event(self, code: int, data: bytes) -> None:
        """Take an event; the first one says that the client runs."""
        self.heard = time.monotonic()
        if code == event_codes.DEVICE:
            self._registered = True
            self._engine.started(self._bot)
            self._engine.gate.end(self._change, dialled=True)
            self._settled.set()
            tell_loop(self._loop, _finish, self.running, None)
            return
        if code == event_codes.UNDECRYPTABLE and (kind := self._unavailable.pop(id_of(data) or "", None)) is not None:
            data = with_kind(data, kind)
        if code in event_codes.ENDS:
            self.logged_out = self.logged_out or code == event_codes.LOGGED_OUT
            self.fail(disconnect_reasons.from_event(code))
            return
        self.incoming.put(code, data)

    def on_log(self, line: LogLine) -> None:
        """Judge a log line: the most reliable news of the connection's end."""
        if self._last_words is not None and (doom := log_lines.doom(line)) is not None:
            self._last_words.write(doom)
        error = log_lines.end_of_connection(line) or log_lines.store_problem(line)
        if error is not None:
            self.fail(error)
            return
        if (unavailable := log_lines.unavailable(line)) is not None:
            self._unavailable[unavailable.id] = unavailable.kind
            while len(self._unavailable) > UNAVAILABLE:
                self._unavailable.pop(next(iter(self._unavailable)), None)
            return
        if (lost := log_lines.lost_message(line)) is not None:
            # These lines are written where messages are dealt with, so that waiting here is back-pressure as well.
            self.incoming.put(event_codes.UNDECRYPTABLE, unreadable_event(lost.sender, lost.chat))
            return
        problem = log_lines.reconnect_problem(line)
        if problem is not None:
            tell_loop(self._loop, self._have_problem, problem)
            return
        if (lock := log_lines.time_lock(line)) is not None:
            tell_loop(self._loop, self._have_time_lock, lock)

    def on_qr(self) -> None:
        """A device row vanished between the check and the start."""
        self._stuck = True
        self._settled.set()
        self._engine.gate.end(self._change)
        self.fail(LoggedOut("the auth state is gone", action="Connect the bot and scan the new QR code."))

    def fail(self, error: ZapwireError) -> None:
        """End the session for *error*; the first one counts. From any thread."""
        tell_loop(self._loop, _finish, self.failed, error)

    def _take_down(self) -> None:
        engine = self._engine
        # A dial holds whatsmeow's socket lock: nothing can be stopped before it is over.
        self._settled.wait()
        with engine.gate.call():
            engine.library.disconnect(self._bot)
        self._drain()
        self.incoming.close()
        engine.gate.stop(self._unregister)
        if self._parked is not None and not self._stuck:
            self._parked.join()
            if self._callbacks is not None:
                engine.callbacks.give_back(self._callbacks)
        tell_loop(self._loop, self.gone.set)

    def _unregister(self) -> None:
        self._registered = False
        self._engine.library.stop(self._bot)

    def _drain(self) -> None:
        # These messages are acknowledged to WhatsApp already (E11); what a cancelled bot does not take in now is lost.
        # Silence from before the disconnect says nothing: one may be on its way out of the engine in this very moment.
        began = time.monotonic()
        while (passed := time.monotonic() - began) < DRAIN_DEADLINE:
            if min(passed, self.incoming.quiet_for()) >= DRAIN_QUIET:
                return
            time.sleep(DRAIN_QUIET / 4)


def _finish(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
