"""One bot's connection: the transport `whatsapp_web`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from functools import partial
from typing import Any, Final

from zapwire.errors import (
    Blocked,
    Condition,
    Conflict,
    Interrupted,
    LoggedOut,
    NotConnected,
    NotSupported,
    Refused,
    TransportError,
    ZapwireError,
)
from zapwire.jid import PHONE_SERVER
from zapwire.model import BotId, Identity, Outgoing, PairingCode, Party, Sent
from zapwire.proxy import Proxy
from zapwire.tasks import spawn
from zapwire.transport.base import Capabilities, Connected, Disconnected, Emit, HistoryOffered, Paired, Received, Stored
from zapwire.transport.whatsapp_web import codes, devices, endings, probing, recipients
from zapwire.transport.whatsapp_web.aside import put_aside
from zapwire.transport.whatsapp_web.descriptors import warn_if_few_are_left
from zapwire.transport.whatsapp_web.devices import Device
from zapwire.transport.whatsapp_web.dial_errors import Unreachable
from zapwire.transport.whatsapp_web.ending import outcome, take_down
from zapwire.transport.whatsapp_web.endings import LogoutClaimed
from zapwire.transport.whatsapp_web.exports import BadArgument, EmptyResult
from zapwire.transport.whatsapp_web.file_watch import FileWatch
from zapwire.transport.whatsapp_web.last_words import LastWords
from zapwire.transport.whatsapp_web.messages import jid_bytes, read_event
from zapwire.transport.whatsapp_web.names import Names
from zapwire.transport.whatsapp_web.pairing import Pairing
from zapwire.transport.whatsapp_web.protos import e2e, neonize
from zapwire.transport.whatsapp_web.pump_ends import NO_RECEIPTS, PumpEnded, PumpEnds
from zapwire.transport.whatsapp_web.send_errors import NoAccount, from_send_error
from zapwire.transport.whatsapp_web.session import Session
from zapwire.transport.whatsapp_web.shared import Shared
from zapwire.transport.whatsapp_web.taking import Taking, read_back
from zapwire.transport.whatsapp_web.texts import moment_of

log = logging.getLogger(__name__)

CAPABILITIES: Final = Capabilities(pairing_qr=True, pairing_code=True, proxy=True, message_types=frozenset({"text"}))

SEND_DEADLINE: Final = 30.0
"""Seconds from the moment that a message was handed to the engine."""
SEND_HANGS: Final = 40.0
"""Seconds after which a send is believed never to end: one that a reconnect interrupted waits without limit, and all
other messages of the bot wait for it (docs/engine.md's E24)."""
LOGOUT_DEADLINE: Final = 10.0
LOGIN_DEADLINE: Final = 60.0
CHECK_EVERY: Final = 15.0

LOST: Final = "the connection to WhatsApp was lost"


class WhatsAppWebBot:
    """Implements `zapwire.transport.base.Transport` and `PairsByCode`."""

    capabilities = CAPABILITIES

    def __init__(self, shared: Shared, bot: BotId) -> None:
        self._shared = shared
        self._bot = bot
        self._file = shared.file(bot)
        self._last_words = LastWords(self._file.path.parent, bot)
        self._pump_ends = PumpEnds(bot)
        self.account = Identity()
        """See `Transport.account`."""
        self.proxy: Proxy | None = None
        """See `UsesProxy.proxy`."""
        self._way = shared.way
        self._running = False
        self._pairing: Pairing | None = None
        self._session: Session | None = None
        self._identity = Identity()
        self._online = False
        self._suspicious = False
        """The server may be frozen: ask it."""

    async def run(self, emit: Emit) -> None:
        """See `Transport.run`."""
        if self._running:
            raise Conflict("this bot is running already")
        self._running = True
        proxy = self.proxy
        self._way = self._shared.way_of(proxy)
        try:
            await self._shared.let_go(self._bot)
            if (doom := self._last_words.take()) is not None:
                raise endings.doomed(doom)
            async with self._shared.starts:
                device = await self._device()
                if device is not None:
                    await self._file.bind()
            if (spool := self._shared.spool(self._bot)) is not None:
                self._identity = device.identity if device is not None else Identity()
                await read_back(spool, self._bot, emit, partial(self._read, None))
            async with self._shared.starts:
                await self._way.check()
            if device is None:
                device = await self._pair(emit, proxy)
                await emit(Paired(device.identity))
            self._identity = device.identity
            try:
                await self._connect(emit, proxy)
            except LogoutClaimed as claim:
                raise await self._verdict(claim) from None
            except PumpEnded as ended:
                raise self._pump_ends.judge(ended) from None
        finally:
            self._running = False

    async def _verdict(self, claim: LogoutClaimed) -> ZapwireError:
        """A logout that a log line claims, if the engine confirms it: by the event, or by having deleted the device.

        Otherwise the claim itself, after which the bot is connected again. Raises like `AuthFile.device`.
        """
        session = self._shared.sessions.get(self._bot)
        if session is not None and session.logged_out:
            return claim.logout
        await self._shared.let_go(self._bot)  # until then the engine may be about to delete it
        return claim if await self._file.device() is not None else claim.logout

    @property
    def quiet(self) -> float | None:
        """See `Probes.quiet`."""
        session = self._session
        if session is None or session.heard is None or not self._online:
            return None
        return time.monotonic() - session.heard

    async def probe(self) -> None:
        """See `Probes.probe`."""
        session = self._session
        if session is None or not self._online:
            raise NotConnected("the bot is not connected to WhatsApp")
        await probing.ask(session)

    async def send(self, message: Outgoing) -> Sent:
        """See `Transport.send`."""
        if message.type not in CAPABILITIES.message_types:
            raise NotSupported(f"messages of type {message.type} cannot be sent yet", field="type")
        session = self._session
        if session is None or not self._online:
            raise NotConnected("the bot is not connected to WhatsApp")
        body = e2e.Message(conversation=message.content["text"]).SerializeToString()
        try:
            return await self._hand_over(session, message.to, body)
        except NoAccount:
            account = await self._other_form(session, message.to)
            if account is None:
                raise
        return replace(await self._hand_over(session, account.jid, body), to=account)

    async def _other_form(self, session: Session, to: str) -> Party | None:
        """The account that has the number in *to* in another form, if WhatsApp knows one. Raises `TransportError`."""
        user, _, server = to.partition("@")
        if server != PHONE_SERVER:
            return None
        try:
            return await recipients.find_account(session, self._shared.engine.library, user)
        except TimeoutError:  # nothing was sent, so it may be tried again
            raise TransportError("WhatsApp did not answer who has that number") from None

    async def _hand_over(self, session: Session, to: str, body: bytes) -> Sent:
        user, _, server = to.partition("@")
        library = self._shared.engine.library
        try:
            raw = await session.send(library.send_message, jid_bytes(user, server), body, end_within=SEND_DEADLINE)
        except TimeoutError:
            self._suspect(session)
            raise
        except EmptyResult as error:
            log.error("bot %s: nobody knows whether a message was sent: %s", self._bot, error)  # noqa: TRY400
            raise TimeoutError from None
        except BadArgument:
            raise Refused("WhatsApp has no such address") from None
        answer = neonize.SendMessageReturnFunction.FromString(raw)
        if answer.Error:
            raise from_send_error(answer.Error)
        session.heard = time.monotonic()
        return Sent(answer.SendResponse.ID, moment_of(answer.SendResponse.Timestamp))

    async def pairing_code(self, phone: str) -> PairingCode:
        """See `PairsByCode.pairing_code`."""
        if self._pairing is None:
            raise Conflict("no pairing is under way: connect the bot first")
        return await self._pairing.code(phone)

    async def logout(self) -> None:
        """See `Transport.logout`. A `run` under way ends with `LoggedOut`."""
        session = self._session
        if not await self._unlink(session) and await self._is_linked():
            raise TransportError("WhatsApp could not be told of the logout: the phone still lists this device")
        if session is not None:
            session.fail(LoggedOut("the bot was logged out", action="Connect the bot and scan the new QR code."))
            await session.stop()
        await self._file.destroy()

    async def _device(self) -> Device | None:
        """What is kept for this bot, if it is this bot's. Raises `Blocked`, `TransportError`."""
        device = await self._file.device()
        if device is not None and devices.differ(device.identity, self.account):
            raise devices.foreign(self._file.path, "it is linked to another account than this bot is")
        return device

    async def _unlink(self, session: Session | None) -> bool:
        """Let WhatsApp remove the device; was that done."""
        if session is None or not self._online:
            return False
        with contextlib.suppress(TimeoutError, TransportError):
            return not await session.ask(self._shared.engine.library.logout, end_within=LOGOUT_DEADLINE)
        return False

    async def _is_linked(self) -> bool:
        if self._pairing is not None:  # not yet, and the child has the file
            return False
        try:
            return await self._device() is not None
        except Blocked as error:  # it cannot be read, and may have been
            if error.condition is Condition.AUTH_FOREIGN:
                raise
            return True
        except TransportError:
            return True

    async def _pair(self, emit: Emit, proxy: Proxy | None) -> Device:
        if self._shared.pairings.locked():
            count = self._shared.max_pairings
            await emit(Disconnected(f"waits for its turn to pair: {count} bots are being paired already"))
        async with self._shared.pairings:
            # What is left of an earlier account or of an unfinished pairing is worth nothing.
            await self._file.destroy()
            await self._file.prepare()
            self._pairing = self._shared.pairing(self._bot, proxy)
            try:
                await self._pairing.run(emit)
            finally:
                self._pairing = None
        device = await self._file.device()
        if device is None:
            raise TransportError("the pairing was not stored; scan a new code")
        return device

    async def _connect(self, emit: Emit, proxy: Proxy | None) -> None:
        warn_if_few_are_left()
        url, spool = None if proxy is None else proxy.url, self._shared.spool(self._bot)
        session = Session(
            self._shared.engine,
            self._bot,
            self._file.dsn,
            spool=spool,
            proxy=url,
            last_words=self._last_words,
            subscribed=self._pump_ends.subscribed,
        )
        self._file.opened_by_engine(session.fail)
        self._shared.sessions[self._bot] = session
        taking = Taking(self._bot, emit, spool)
        tasks: list[asyncio.Task[None]] = []
        try:
            # Events are taken in from the beginning to the very end of the session, so that none is left behind.
            tasks.append(spawn(self._take_events(session, taking), f"events of {self._bot}", awaited=True))
            await self._start(session)
            self._session = session
            tasks.append(spawn(self._watch(session, taking), f"watch of {self._bot}", awaited=True))
            ends: list[asyncio.Future[Any]] = [*tasks, session.failed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            raise outcome(tasks, session)
        finally:
            self._online = False
            self._session = None
            await asyncio.shield(take_down(session, taking, tasks, self._shared.spool(self._bot)))

    async def _start(self, session: Session) -> None:
        try:
            async with self._shared.starts:
                await session.start()
        except Unreachable as error:
            self._way.dial_failed(error)
            raise
        self._way.dial_worked()

    async def _take_events(self, session: Session, taking: Taking) -> None:
        names = Names(session, self._shared.engine.library)
        while True:
            code, data, segment = await session.incoming.get()
            event = await self._read(names, code, data)
            if event is not None:
                await taking.store(event, (code, data), session.incoming.end_of(segment))
                continue
            await self._note(session, code, taking)
            session.incoming.done(segment)

    async def _read(self, names: Names | None, code: int, data: bytes) -> Stored | None:
        """What is to be stored, if this event is about a message."""
        try:
            event = read_event(code, data, self._identity)
            if isinstance(event, Received) and names is not None:
                return Received(await names.complete(event.message))
        except Exception as fault:  # noqa: BLE001 - whatever it is, it must not cost those behind it
            return await put_aside(self._shared.spool(self._bot), self._bot, (code, data), self._identity, fault)
        if isinstance(event, HistoryOffered) and not self._shared.engine.leaves_history:
            return None  # it was fetched, thrown away and deleted at WhatsApp
        return event

    async def _note(self, session: Session, code: int, taking: Taking) -> None:
        """Take in what an event says about the connection, if it does."""
        if code == codes.CONNECTED:
            await self._connected(session, taking)
        elif code == codes.DISCONNECTED:
            self._online = False
            await taking.tell(Disconnected(LOST))
            if session.problem is not None:  # log lines can be quicker than events
                await taking.tell(Disconnected(session.problem.detail, session.problem.condition))
        elif code == codes.KEEPALIVE_TIMEOUT:
            self._suspect(session)

    async def _connected(self, session: Session, taking: Taking) -> None:
        with contextlib.suppress(TransportError, TimeoutError):  # what is known already will do
            self._identity = await session.identity()
        session.problem = None
        session.logged_in = True
        self._online = True
        await taking.tell(Connected(self._identity))
        if not session.takes_receipts:
            await taking.tell(NO_RECEIPTS)

    async def _watch(self, session: Session, taking: Taking) -> None:
        """Notice what the engine tells late or never (docs/engine.md: E9, E13, E18). Raises `TransportError`."""
        loop, files = asyncio.get_running_loop(), FileWatch(self._file.path)
        login_until = loop.time() + LOGIN_DEADLINE
        misses = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY):
                    await session.news.wait()
            session.news.clear()
            if not session.logged_in and loop.time() > login_until:
                message = "WhatsApp took the connection but did not answer the login"
                raise TransportError(message, condition=Condition.SILENT)
            if not self._online:
                misses = 0
                if session.logged_in and session.problem is not None:
                    await taking.tell(Disconnected(session.problem.detail, session.problem.condition))
                continue
            if not session.takes_receipts and self._pump_ends.takes_receipts:
                raise Interrupted("receipts are taken again")
            await self._probe_if_suspicious(session)
            if session.sending_for > SEND_HANGS:
                raise TransportError(
                    "a message hangs in the engine and holds up all others", condition=Condition.SILENT
                )
            misses = 0 if await self._is_connected(session) else misses + 1
            if misses > 1:
                raise TransportError("the connection to WhatsApp ended without notice", condition=Condition.LOST)
            await self._look_for_a_name(session, taking)
            if (news := files.news()) is not None:
                await taking.tell(news)

    def _suspect(self, session: Session) -> None:
        self._suspicious = True
        session.news.set()

    async def _look_for_a_name(self, session: Session, taking: Taking) -> None:
        # The phone sends the account's name some time after the pairing, and the engine does not tell.
        if self._identity.push_name is not None:
            return
        try:
            identity = await session.identity()
        except (TransportError, TimeoutError):
            return
        if identity != self._identity:
            self._identity = identity
            if self._online:
                await taking.tell(Connected(identity))

    async def _probe_if_suspicious(self, session: Session) -> None:
        """Ask the server; no answer means that it, or the way to it, is frozen."""
        if not self._suspicious:
            return
        self._suspicious = False
        try:
            await probing.ask(session)
        except NotConnected:  # not asked, so the question remains
            self._suspicious = True

    async def _is_connected(self, session: Session) -> bool:
        """Does the socket stand, as far as that can be told?"""
        try:
            return await session.look_up(self._shared.engine.library.is_connected)
        except (NotConnected, TimeoutError):
            return True
