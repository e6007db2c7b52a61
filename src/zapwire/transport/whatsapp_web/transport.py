"""One bot's connection: the transport `whatsapp_web`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from zapwire.model.bots import BotId, Identity
from zapwire.model.content.interactive import PollVoteContent
from zapwire.model.errors import (
    Blocked,
    Condition,
    Conflict,
    Interrupted,
    LoggedOut,
    NotConnected,
    Refused,
    TransportError,
    ZapwireError,
)
from zapwire.model.jid import PHONE_SERVER
from zapwire.model.media import MediaFile, RemoteFile
from zapwire.model.messages import Message, Outgoing, Party, Sent
from zapwire.model.pairing import PairingCode, PairingOptions, PasskeyChallenge, VerificationCode
from zapwire.model.proxy import Proxy
from zapwire.runtime.tasks import spawn
from zapwire.transport.protocol import (
    Capabilities,
    Connected,
    Disconnected,
    Emit,
    Grow,
    HistoryOffered,
    Paired,
    Received,
    Stored,
    TimeLocked,
)
from zapwire.transport.whatsapp_web import health_probe, poll_votes
from zapwire.transport.whatsapp_web.addresses import jid_bytes
from zapwire.transport.whatsapp_web.auth import auth_file
from zapwire.transport.whatsapp_web.auth.auth_file import Device
from zapwire.transport.whatsapp_web.auth.file_watch import FileWatch
from zapwire.transport.whatsapp_web.content.encoders import ENCODED, encode, own_address
from zapwire.transport.whatsapp_web.engine import disconnect_reasons, event_codes
from zapwire.transport.whatsapp_web.engine.crash_marker import CrashMarker
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable
from zapwire.transport.whatsapp_web.engine.disconnect_reasons import LogoutClaimed
from zapwire.transport.whatsapp_web.engine.event_pump import NO_RECEIPTS, EventPump, PumpEnded
from zapwire.transport.whatsapp_web.engine.exports import BadArgument, EmptyResult
from zapwire.transport.whatsapp_web.engine.fd_limits import warn_if_few_are_left
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.engine.untrusted_text import moment_of
from zapwire.transport.whatsapp_web.inbound.decode import read_event
from zapwire.transport.whatsapp_web.inbound.ingest import Ingest, read_back
from zapwire.transport.whatsapp_web.inbound.lid_lookup import LidLookup
from zapwire.transport.whatsapp_web.inbound.quarantine import put_aside
from zapwire.transport.whatsapp_web.media_transfer import MediaTransfer
from zapwire.transport.whatsapp_web.outbound import recipients
from zapwire.transport.whatsapp_web.outbound.send_errors import NoAccount, from_send_error
from zapwire.transport.whatsapp_web.pairing.pairing import Pairing
from zapwire.transport.whatsapp_web.session import EngineSession
from zapwire.transport.whatsapp_web.shared import SharedEngine
from zapwire.transport.whatsapp_web.teardown import outcome, take_down

log = logging.getLogger(__name__)

T = TypeVar("T")

CAPABILITIES: Final = Capabilities(
    pairing_qr=True,
    pairing_code=True,
    passkey=True,
    pairing_options=True,
    proxy=True,
    media=True,
    message_types=frozenset(ENCODED),
    status_types=frozenset({"text", "image", "video", "gif", "voice", "delete"}),
    channel_types=frozenset({"text", "edit", "delete"}),
)

SEND_DEADLINE: Final = 30.0
"""Seconds from the moment that a message was handed to the engine."""
SEND_HANGS: Final = 40.0
"""Seconds after which a send is believed never to end: one that a reconnect interrupted waits without limit, and all
other messages of the bot wait for it (docs/engine.md's E24)."""
LOGOUT_DEADLINE: Final = 10.0
LOGIN_DEADLINE: Final = 60.0
CHECK_EVERY: Final = 15.0

LOST: Final = "the connection to WhatsApp was lost"


class WhatsAppWebTransport:
    """Implements `zapwire.transport.protocol.Transport` and the optional protocols of transports."""

    capabilities = CAPABILITIES

    def __init__(self, shared: SharedEngine, bot: BotId) -> None:
        self._shared = shared
        self._bot = bot
        self._file = shared.file(bot)
        self._last_words = CrashMarker(self._file.path.parent, bot)
        self._pump_ends = EventPump(bot)
        self.account = Identity()
        """See `Transport.account`."""
        self.proxy: Proxy | None = None
        """See `UsesProxy.proxy`."""
        self.pairing_options = PairingOptions()
        """See `TakesPairingOptions.pairing_options`."""
        self._way = shared.way
        self._running = False
        self._pairing: Pairing | None = None
        self._wants_passkey = False
        """WhatsApp did, the last time that the engine paired."""
        self._session: EngineSession | None = None
        self._identity = Identity()
        self._online = False
        self._media = MediaTransfer(shared.engine, shared.lines)
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
                raise disconnect_reasons.doomed(doom)
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
                device = await self._unless_outdated(partial(self._pair, emit, proxy), emit, proxy)
                await emit(Paired(device.identity))
            self._identity = device.identity
            try:
                await self._unless_outdated(partial(self._connect, emit, proxy), emit, proxy)
            except LogoutClaimed as claim:
                raise await self._verdict(claim) from None
            except PumpEnded as ended:
                raise self._pump_ends.judge(ended) from None
        finally:
            self._running = False

    async def _unless_outdated(self, attempt: Callable[[], Awaitable[T]], emit: Emit, proxy: Proxy | None) -> T:
        """*attempt*, and once more when WhatsApp refused our version and a newer one can be announced now."""
        version = self._shared.version
        announced = version.announced
        try:
            return await attempt()
        except Blocked as refused:
            if refused.condition is not Condition.OUTDATED or not await version.renew(announced, proxy):
                raise
        reason = f"WhatsApp no longer accepts version 2.3000.{announced}: connecting with 2.3000.{version.announced}"
        await emit(Disconnected(reason, Condition.OUTDATED))
        await self._shared.let_go(self._bot)
        return await attempt()

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
        await health_probe.ask(session)

    async def send(self, message: Outgoing) -> Sent:
        """See `Transport.send`."""
        session = self._session
        if session is None or not self._online:
            raise NotConnected("the bot is not connected to WhatsApp")
        body = await self._body(session, message)
        try:
            return await self._hand_over(session, message.to, body)
        except NoAccount:
            account = await self._other_form(session, message.to)
            if account is None:
                raise
        return replace(await self._hand_over(session, account.jid, body), to=account)

    async def _body(self, session: EngineSession, message: Outgoing) -> bytes:
        """What the engine sends. Raises `Refused`, `NotSupported`, `TransportError`: nothing has left yet."""
        if isinstance(message.content, PollVoteContent):
            own = own_address(message.to, self._identity)
            try:
                return await poll_votes.build(session, self._shared.engine.library, message, message.content, own)
            except TimeoutError:
                raise TransportError("the engine did not answer") from None
        try:
            return encode(message, self._identity)
        except ZapwireError:
            raise
        except Exception:
            log.exception("bot %s: a message of type %s cannot be encoded", self._bot, message.content.kind)
            raise Refused("internal error, see the log: it was not sent") from None

    async def upload(self, file: MediaFile, path: Path) -> RemoteFile:
        """See `CarriesMedia.upload`."""
        session = self._session
        if session is None or not self._online:
            raise NotConnected("the bot is not connected to WhatsApp")
        return await self._media.upload(session, file, path, self.proxy)

    async def download(self, file: RemoteFile, path: Path, grow: Grow) -> None:
        """See `CarriesMedia.download`."""
        await self._media.download(file, path, self.proxy, grow)

    async def _other_form(self, session: EngineSession, to: str) -> Party | None:
        """The account that has the number in *to* in another form, if WhatsApp knows one. Raises `TransportError`."""
        user, _, server = to.partition("@")
        if server != PHONE_SERVER:
            return None
        try:
            return await recipients.find_account(session, self._shared.engine.library, user)
        except TimeoutError:  # nothing was sent, so it may be retried
            raise TransportError("WhatsApp did not answer who has that number") from None

    async def _hand_over(self, session: EngineSession, to: str, body: bytes) -> Sent:
        user, _, server = to.partition("@")
        library = self._shared.engine.library
        try:
            raw = await session.send(library.send_message, jid_bytes(user, server), body, end_within=SEND_DEADLINE)
        except TimeoutError:
            self._suspect(session)
            raise
        except EmptyResult as error:
            log.error("bot %s: delivery unknown: %s", self._bot, error)  # noqa: TRY400
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
        return await self._under_way.code(phone)

    @property
    def _under_way(self) -> Pairing:
        if self._pairing is None:
            raise Conflict("no pairing is under way: connect the bot first")
        return self._pairing

    def passkey(self) -> PasskeyChallenge | VerificationCode:
        """See `PairsByPasskey.passkey`."""
        return self._under_way.own.passkey()

    async def answer_passkey(self, answer: Mapping[str, Any]) -> None:
        """See `PairsByPasskey.answer_passkey`."""
        await self._under_way.own.answer_passkey(answer)

    async def confirm_passkey(self, code: str) -> None:
        """See `PairsByPasskey.confirm_passkey`."""
        await self._under_way.own.confirm_passkey(code)

    async def logout(self) -> None:
        """See `Unlinks.logout`. A `run` under way ends with `LoggedOut`."""
        session = self._session
        if not await self._unlink(session) and await self._is_linked():
            raise TransportError("WhatsApp could not be notified of the logout: the phone still lists this device")
        if session is not None:
            session.fail(LoggedOut("the bot was logged out", action="Connect the bot and scan the new QR code."))
            await session.stop()
        await self._file.destroy()

    async def _device(self) -> Device | None:
        """What is kept for this bot, if it is this bot's. Raises `Blocked`, `TransportError`."""
        device = await self._file.device()
        if device is not None and auth_file.differ(device.identity, self.account):
            raise auth_file.foreign(self._file.path, "it is linked to another account than this bot is")
        return device

    async def _unlink(self, session: EngineSession | None) -> bool:
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
        own_at_once = self._wants_passkey
        pairing = self._pairing = await self._shared.pairing(
            self._bot, proxy, self.pairing_options, own_at_once=own_at_once
        )
        try:
            await pairing.run(emit)
        finally:
            self._pairing = None
            self._wants_passkey = own_at_once or pairing.wants_passkey
        device = await self._file.device()
        if device is None:
            raise TransportError("the pairing was not stored; scan a new code")
        return device

    async def _connect(self, emit: Emit, proxy: Proxy | None) -> None:
        warn_if_few_are_left()
        url, spool = None if proxy is None else proxy.url, self._shared.spool(self._bot)
        session = EngineSession(
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
        taking = Ingest(self._bot, emit, spool)
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

    async def _start(self, session: EngineSession) -> None:
        try:
            async with self._shared.starts:
                await session.start()
        except Unreachable as error:
            self._way.dial_failed(error)
            raise
        self._way.dial_worked()

    async def _take_events(self, session: EngineSession, taking: Ingest) -> None:
        names = LidLookup(session)
        while True:
            code, data, segment = await session.incoming.get()
            event = await self._read(names, code, data)
            if event is not None:
                await taking.store(event, (code, data), session.incoming.end_of(segment))
                continue
            await self._note(session, code, taking)
            session.incoming.done(segment)

    async def _read(self, names: LidLookup | None, code: int, data: bytes) -> Stored | None:
        """What is to be stored, if this event is about a message."""
        try:
            event = read_event(code, data, self._identity)
            if isinstance(event, Received) and names is not None:
                return Received(await self._with_vote(await names.complete(event.message), data))
        except Exception as fault:  # noqa: BLE001 - whatever it is, it must not cost those behind it
            return await put_aside(self._shared.spool(self._bot), self._bot, (code, data), self._identity, fault)
        if isinstance(event, HistoryOffered) and not self._shared.engine.leaves_history:
            return None  # it was fetched, thrown away and deleted at WhatsApp
        return event

    async def _with_vote(self, message: Message, data: bytes) -> Message:
        session = self._shared.sessions.get(self._bot)
        if not isinstance(message.content, PollVoteContent) or session is None:
            return message
        return replace(message, vote=await poll_votes.decrypt(session, self._shared.engine.library, data))

    async def _note(self, session: EngineSession, code: int, taking: Ingest) -> None:
        """Take in what an event says about the connection, if it does."""
        if code == event_codes.CONNECTED:
            await self._connected(session, taking)
        elif code == event_codes.DISCONNECTED:
            self._online = False
            await taking.tell(Disconnected(LOST))
            if session.problem is not None:  # log lines can be quicker than events
                await taking.tell(Disconnected(session.problem.detail, session.problem.condition))
        elif code == event_codes.KEEPALIVE_TIMEOUT:
            self._suspect(session)

    async def _connected(self, session: EngineSession, taking: Ingest) -> None:
        with contextlib.suppress(TransportError, TimeoutError):  # what is known already will do
            self._identity = await session.identity()
        session.problem = None
        session.logged_in = True
        self._online = True
        await taking.tell(Connected(self._identity))
        if not session.takes_receipts:
            await taking.tell(NO_RECEIPTS)

    async def _watch(self, session: EngineSession, taking: Ingest) -> None:
        """Notice what the engine tells late or never (docs/engine.md: E9, E13, E18). Raises `TransportError`."""
        loop, files = asyncio.get_running_loop(), FileWatch(self._file.path)
        login_until = loop.time() + LOGIN_DEADLINE
        misses = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY):
                    await session.news.wait()
            session.news.clear()
            if (lock := session.time_lock) is not None:
                session.time_lock = None
                await taking.tell(TimeLocked(lock.until))
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

    def _suspect(self, session: EngineSession) -> None:
        self._suspicious = True
        session.news.set()

    async def _look_for_a_name(self, session: EngineSession, taking: Ingest) -> None:
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

    async def _probe_if_suspicious(self, session: EngineSession) -> None:
        """Ask the server; no answer means that it, or the way to it, is frozen."""
        if not self._suspicious:
            return
        self._suspicious = False
        try:
            await health_probe.ask(session)
        except NotConnected:  # not asked, so the question remains
            self._suspicious = True

    async def _is_connected(self, session: EngineSession) -> bool:
        """Does the socket stand, as far as that can be told?"""
        try:
            return await session.look_up(self._shared.engine.library.is_connected)
        except (NotConnected, TimeoutError):
            return True
