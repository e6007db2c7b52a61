"""One attempt to pair a bot with a client of our own: what comes in, what is shown, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from zapwire.model.errors import Conflict, PairingTimedOut, TransportError, ZapwireError
from zapwire.model.pairing import PairingCode, PairingOptions, PasskeyChallenge, QrCode, VerificationCode
from zapwire.model.proxy import Proxy
from zapwire.runtime.tasks import Tasks
from zapwire.transport.protocol import Emit, PairingProgress
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile
from zapwire.transport.whatsapp_web.engine.dial_errors import unreachable
from zapwire.transport.whatsapp_web.engine.private.announced_version import Version
from zapwire.transport.whatsapp_web.network.line import LineMaker
from zapwire.transport.whatsapp_web.network.preflight import HOST
from zapwire.transport.whatsapp_web.pairing import device_props
from zapwire.transport.whatsapp_web.pairing.attempt import (
    FIRST_QR_DEADLINE,
    FIRST_QR_LASTS,
    NEXT_QR_LASTS,
    PAIRING_LASTS,
    lost,
    nobody_scanned,
    without_multidevice,
)
from zapwire.transport.whatsapp_web.pairing.own import pair_success, refusals
from zapwire.transport.whatsapp_web.pairing.own.codes import LINK_CODE, TypedCode, is_ref, qr_text
from zapwire.transport.whatsapp_web.pairing.own.conversation import SERVER, Conversation
from zapwire.transport.whatsapp_web.pairing.own.device_row import PairedDevice
from zapwire.transport.whatsapp_web.pairing.own.noise_socket import NoiseSocket, NotGenuine
from zapwire.transport.whatsapp_web.pairing.own.passkey import PasskeyStep
from zapwire.transport.whatsapp_web.pairing.own.registration import CompanionKeys, payload
from zapwire.transport.whatsapp_web.pairing.own.websocket import NotUpgraded, SocketClosed, WebSocket
from zapwire.wire.node import Node

HANDSHAKE_DEADLINE: Final = 20.0
CODE_DEADLINE: Final = 30.0
CONFIRMATION_DEADLINE: Final = 10.0
"""Seconds after the device was signed for in which WhatsApp should say so; without it the login is tried anyway."""
MOST_REFS: Final = 32
MOST_OFFERS: Final = 5
"""Times that WhatsApp may offer references in one connection; it does once."""
_PATH: Final = "/ws/chat"
_ALL_REFS: Final = 6
"""A first code is shown longer only when there are as many (whatsmeow, qrchan.go)."""


@dataclass(frozen=True, slots=True)
class OwnClient:
    """What all attempts of the process share."""

    lines: LineMaker
    noise_root: bytes
    version: Callable[[], Version]
    """That the engine announces at the moment."""
    template: Callable[[], Awaitable[bytes]]
    """An empty auth database (`device_row.learn_template`)."""


class OwnAttempt:
    """Implements `Attempt`, and what `PairsByPasskey` asks."""

    def __init__(self, shared: OwnClient, file: AuthFile, proxy: Proxy | None, options: PairingOptions) -> None:
        self._shared = shared
        self._file = file
        self._proxy = proxy
        self._options = options
        self._keys = CompanionKeys.generate()
        self._secret = self._keys.adv_secret
        loop = asyncio.get_running_loop()
        self._began = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._clock = asyncio.timeout(None)
        self._asking = asyncio.Lock()
        self._tasks = Tasks()
        self._storing = Tasks()
        """What may not be cut off: in the end memory, disk and WhatsApp have to agree."""
        self._rotation: asyncio.Task[None] | None = None
        self._talk: Conversation | None = None
        self._typed: TypedCode | None = None
        self._passkey: PasskeyStep | None = None
        self._shown_until = datetime.now(UTC)
        """When the last code that was shown cannot be used any more."""
        self._stored = False
        self._offers = 0

    async def run(self, emit: Emit) -> None:
        """See `Attempt.run`."""
        props = device_props.complete(self._options)
        said = payload(self._keys, self._shared.version(), props.SerializeToString())
        talk = self._talk = Conversation(await self._connect(said))
        error: ZapwireError | None = None
        try:
            async with self._clock:
                self._extend(FIRST_QR_DEADLINE)
                self._spawn(talk.listen, "pairing listens")
                self._spawn(talk.keep_alive, "pairing keep-alive")
                self._spawn(partial(self._handle_all, talk, emit, props.platformType), "pairing")
                await self._ended
        except TimeoutError:
            error = self._timed_out()
        except (SocketClosed, NotGenuine, ValueError, OSError, TransportError) as end:
            error = self._why(talk, end)
        finally:
            await self._tear_down(talk)
            del talk
        if error is not None and not self._stored:
            raise error

    async def code(self, phone: str) -> PairingCode:
        """See `Attempt.code`."""
        async with self._asking:
            if self._ended.done():
                raise Conflict("the pairing is over")
            try:
                async with asyncio.timeout(CODE_DEADLINE):
                    await asyncio.shield(self._began)
                    if self._talk is None or self._passkey is not None:
                        raise Conflict("the phone has taken a code already")
                    self._typed = await TypedCode.ask(self._talk, self._keys, phone)
            except TimeoutError:
                raise TransportError("WhatsApp gave no pairing code in time") from None
            except OSError:
                raise lost() from None
        expires_at = datetime.now(UTC) + PAIRING_LASTS
        self._shown_until = max(self._shown_until, expires_at)
        return PairingCode(self._typed.half.code, expires_at)

    def passkey(self) -> PasskeyChallenge | VerificationCode:
        """See `PairsByPasskey.passkey`."""
        return self._asked().shown()

    async def answer_passkey(self, answer: Mapping[str, Any]) -> None:
        """See `PairsByPasskey.answer_passkey`."""
        with _in_words():
            await self._asked().answer(answer)

    async def confirm_passkey(self, code: str) -> None:
        """See `PairsByPasskey.confirm_passkey`."""
        asked = self._asked()
        if self._stored or len(self._storing):
            raise Conflict("the phone has linked the bot already: if the codes differ, unlink it there at once")
        with _in_words():
            await asked.confirm(code)

    def _asked(self) -> PasskeyStep:
        if self._passkey is None or self._ended.done():
            raise Conflict("WhatsApp has not asked for a passkey: it does, for some accounts, after the code")
        return self._passkey

    # ---- the connection

    async def _connect(self, said: bytes) -> NoiseSocket:
        line = await self._shared.lines.dial(self._proxy)
        try:
            async with asyncio.timeout(HANDSHAKE_DEADLINE):
                socket = await WebSocket.open(line, HOST, _PATH)
                return await NoiseSocket.shake(socket, self._keys.noise, said, self._shared.noise_root)
        except (SocketClosed, NotGenuine, OSError) as error:
            await line.close()
            raise _unreachable(error) from error
        except BaseException:
            await line.close()
            raise

    async def _handle_all(self, talk: Conversation, emit: Emit, platform: int) -> None:
        while True:
            node = await talk.incoming.get()
            if not self._stored:
                await self._handle(talk, node, emit, platform)
            elif node.tag == "stream:error":
                self._finish(None)

    async def _handle(self, talk: Conversation, node: Node, emit: Emit, platform: int) -> None:
        match node.tag:
            case "iq" if node.child("pair-device") is not None:
                await self._offered(talk, node, emit)
            case "iq" if node.child("pair-success") is not None:
                await self._paired(talk, node)
            case "notification":
                await self._notified(talk, node, emit, platform)
            case "failure":
                raise refusals.of_failure(node)
            case "stream:error":
                raise refusals.of_stream_error(node)
            case "xmlstreamend":
                raise SocketClosed("the server ended the stream")
            case "ib" if node.child("downgrade_webclient") is not None:
                raise without_multidevice()

    async def _notified(self, talk: Conversation, node: Node, emit: Emit, platform: int) -> None:
        kind = node.text("type") if node.jid("from") == SERVER else ""
        if kind == "passkey_prologue_request":
            await self._passkey_asked(talk, node, emit, platform)
        await talk.acknowledge(node)
        if kind == LINK_CODE:
            await self._typed_on_phone(talk, node)
        elif kind == "crsc_continuation" and self._passkey is not None:
            await self._passkey.continued(node)

    # ---- codes

    async def _offered(self, talk: Conversation, request: Node, emit: Emit) -> None:
        await talk.send(Node("iq", {"to": SERVER, "id": request.text("id"), "type": "result"}))
        if self._passkey is not None:
            return  # a phone has taken a code: others would only fail
        self._offers += 1
        if self._offers > MOST_OFFERS:
            raise TransportError("WhatsApp offered new codes again and again")
        parts = request.child("pair-device")
        refs = [ref.data for ref in parts.all("ref")] if parts is not None else []
        usable = [ref.decode() for ref in refs if is_ref(ref)][:MOST_REFS]
        if not usable:
            raise TransportError("WhatsApp gave no QR code")
        self._stop_rotating()
        self._extend(None)
        self._rotation = self._spawn(partial(self._rotate, usable, emit), "pairing codes")
        if not self._began.done():
            self._began.set_result(None)

    async def _rotate(self, refs: list[str], emit: Emit) -> None:
        client = device_props.qr_client(self._options)
        for number, ref in enumerate(refs, 1):
            lasts = FIRST_QR_LASTS if number == 1 and len(refs) >= _ALL_REFS else NEXT_QR_LASTS
            expires_at = datetime.now(UTC) + timedelta(seconds=lasts)
            self._shown_until = max(self._shown_until, expires_at)
            await emit(QrCode(qr_text(ref, self._keys, self._secret, client), expires_at, number))
            await asyncio.sleep((expires_at - datetime.now(UTC)).total_seconds())
        while (left := (self._shown_until - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - it may move
            await asyncio.sleep(left)  # a typed code lives longer
        raise nobody_scanned()

    def _stop_rotating(self) -> None:
        if self._rotation is not None:
            self._rotation.cancel()
            self._rotation = None

    async def _typed_on_phone(self, talk: Conversation, notification: Node) -> None:
        part = notification.child(LINK_CODE)
        if part is None or self._typed is None or part.text("stage") != "primary_hello":
            return  # WhatsApp sends others in between (`refresh_code`), and some without keys
        secret = await self._typed.finish(talk, self._keys, part)
        if secret is not None and self._passkey is None:
            self._secret = secret

    # ---- passkey

    async def _passkey_asked(self, talk: Conversation, notification: Node, emit: Emit, platform: int) -> None:
        self._stop_rotating()
        if self._passkey is None:

            async def tell(progress: PairingProgress) -> None:
                self._extend((progress.expires_at - datetime.now(UTC)).total_seconds())
                await emit(progress)

            self._passkey = PasskeyStep(talk, self._keys, self._secret, platform, tell=tell, end=self._finish)
            self._secret = self._passkey.adv_secret
        await self._passkey.asked(notification)

    # ---- the end

    async def _paired(self, talk: Conversation, request: Node) -> None:
        device = await pair_success.read(talk, request, self._keys, self._secret)
        if self._ended.done():  # a person said in this moment that somebody is in between
            return
        self._stop_rotating()
        self._extend(None)
        await self._storing.shielded(self._store(talk, request, device), "pairing is stored")
        self._extend(CONFIRMATION_DEADLINE)
        with contextlib.suppress(OSError):
            await talk.send(pair_success.unified_session(request))

    async def _store(self, talk: Conversation, request: Node, device: PairedDevice) -> None:
        template = await self._shared.template()
        await pair_success.store_and_sign(talk, self._file, template, request, device)
        self._stored = True

    def _finish(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
            self._ended.exception()  # it may be told twice

    def _spawn(self, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends the attempt
                self._finish(error)

        return self._tasks.spawn(guarded(), name)

    def _extend(self, seconds: float | None) -> None:
        """The attempt ends in so many seconds unless something happens; None: what happens has a time of its own."""
        with contextlib.suppress(RuntimeError):  # it has run out already
            self._clock.reschedule(None if seconds is None else asyncio.get_running_loop().time() + max(seconds, 0))

    def _timed_out(self) -> ZapwireError:
        if self._passkey is not None:
            return PairingTimedOut(
                "the pairing with a passkey was not finished in time",
                action="Connect the bot to get a new code. If the phone says that there is no passkey: create one "
                "there under Settings, Account, Passkeys.",
            )
        return unreachable("timed out waiting for handshake")

    def _why(self, talk: Conversation, error: Exception) -> ZapwireError:
        """What ended the attempt, as far as WhatsApp said it before the connection broke."""
        if talk.ending is not None:
            told = refusals.of_failure if talk.ending.tag == "failure" else refusals.of_stream_error
            return told(talk.ending)
        if isinstance(error, NotGenuine):
            return TransportError("the connection to WhatsApp was disturbed while pairing")
        if isinstance(error, TransportError):
            return error
        used_up = self._passkey is None and self._shown_until - datetime.now(UTC) < timedelta(seconds=1)
        return nobody_scanned() if used_up and self._began.done() else lost()

    async def _tear_down(self, talk: Conversation) -> None:
        over = Conflict("the pairing is over")
        if not self._began.done():
            self._began.set_exception(over)
            self._began.exception()  # nobody may be waiting
        self._finish(over)
        try:
            await self._storing.settled()
            if self._passkey is not None:
                await self._passkey.close()
            await self._tasks.cancel()
        finally:  # also when whoever waits is cancelled once more
            await talk.close()
            self._talk = self._rotation = self._passkey = None  # else the garbage collector ends them, with a TLS each


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise lost() from None
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise Conflict("the pairing is over") from None  # what was being done ended with it


def _unreachable(error: Exception) -> TransportError:
    if isinstance(error, NotGenuine):
        return unreachable("failed to verify server cert")
    if isinstance(error, NotUpgraded) and error.status:
        return unreachable("status code")
    return unreachable("timeout" if isinstance(error, TimeoutError) else "eof")
