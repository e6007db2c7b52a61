"""A transport that does what the test says, at the seam `transport/protocol.py`: everything above it is the real code.

It keeps the seam's promises as the real one does, which `tests/contract` checks of both: it stops slowly and may fail
while doing so, `logout` needs a connection, and what is kept for a bot outlives its transport.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from zapwire.core.messages.content import sendable
from zapwire.core.messages.content.fallback import FALLBACKS
from zapwire.model.bots import BotId, Identity
from zapwire.model.content.text import TextContent
from zapwire.model.errors import (
    Blocked,
    Condition,
    Conflict,
    InvalidInput,
    LoggedOut,
    NotConnected,
    PasskeyRefused,
    Refused,
    TransportError,
)
from zapwire.model.messages import Message, MessageId, Outgoing, Party, Sent
from zapwire.model.pairing import PairingCode, PairingStep, PasskeyChallenge, QrCode, VerificationCode
from zapwire.transport.protocol import (
    Capabilities,
    Connected,
    Emit,
    Paired,
    PairingProgress,
    Receipt,
    ReceiptKind,
    Received,
)

ALICE = Identity("+4915100000001", "9000000000001@lid", "Alice")
NOBODY = "4915199999999@s.whatsapp.net"
"""A number that is not on WhatsApp."""
SENDS = frozenset(sendable.SENDABLE) - FALLBACKS
"""All types of messages; lists and buttons by what stands in for them."""
POWERS = Capabilities(pairing_qr=True, pairing_code=True, message_types=SENDS)
POWERS_WITH_PASSKEY = replace(POWERS, passkey=True)


@dataclass
class ScriptedTransport:
    """`run` waits for what the test puts into `script`: events to emit, or an error to raise."""

    bot: BotId
    linked: bool = False
    """Connect at once when run."""
    pairs: bool = False
    """When not linked, show a QR code by itself and wait for `scan`."""
    identity: Identity = ALICE
    runs: int = 0
    running: int = 0
    logouts: int = 0
    sent: list[Outgoing] = field(default_factory=list)
    answer: Callable[[Outgoing], Any] | None = None
    """Makes (or raises, or awaits) what `send` returns."""
    capabilities: Capabilities = POWERS
    at_once: int = 0
    most_at_once: int = 0
    stop_turns: int = 1
    """Turns of the event loop that stopping takes."""
    stop_error: Exception | None = None
    """What stopping ends with."""
    reachable: bool = True
    """Is there a way to WhatsApp? Without one nothing connects, and nobody can be told of a logout."""
    foreign: bool = False
    """What is kept for the bot is that of another one."""
    account: Identity = field(default_factory=Identity)

    def __post_init__(self) -> None:
        self.script: asyncio.Queue[Any] = asyncio.Queue()
        self.started = asyncio.Event()
        self.emit: Emit | None = None
        self._scanned = asyncio.Event()
        self._ended: asyncio.Future[Exception] | None = None

    async def run(self, emit: Emit) -> None:
        assert self.running == 0, "two connections of one bot"
        self.running += 1
        self.runs += 1
        self.emit = emit
        self._ended = asyncio.get_running_loop().create_future()
        self.started.set()
        try:
            await self._run(emit, self._ended)
        finally:
            try:
                for _ in range(self.stop_turns):
                    await asyncio.sleep(0)
            finally:
                self.running -= 1
                self.emit = None
                self.started.clear()
            if self.stop_error is not None:
                raise self.stop_error

    async def _run(self, emit: Emit, ended: asyncio.Future[Exception]) -> None:
        self._refuse_foreign()
        if not self.reachable:
            raise TransportError("no network", condition=Condition.UNREACHABLE)
        if self.pairs and not self.linked:
            await self._pair(emit)
        if self.linked:
            await emit(Connected(self.identity))
        while True:
            step = await self._next(ended)
            if isinstance(step, Exception):
                raise step
            await emit(step)

    async def _pair(self, emit: Emit) -> None:
        await emit(QrCode("2@ref,noise,identity,secret", datetime.now(UTC) + timedelta(seconds=60), 1))
        await self._scanned.wait()
        self.linked = True
        await emit(Paired(self.identity))

    async def _next(self, ended: asyncio.Future[Exception]) -> Any:
        """The script's next step, or the end that a logout makes."""
        step = asyncio.ensure_future(self.script.get())
        try:
            await asyncio.wait([step, ended], return_when=asyncio.FIRST_COMPLETED)
            return step.result() if step.done() else ended.result()
        finally:
            step.cancel()

    def scan(self) -> None:
        """A phone scans the QR code."""
        self._scanned.set()

    async def send(self, message: Outgoing) -> Sent:
        if self.running == 0:
            raise NotConnected("not connected")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.answer is not None:
                result = self.answer(message)
                if asyncio.iscoroutine(result):
                    result = await result
                if result is not None:
                    self.sent.append(message)
                    return result  # type: ignore[no-any-return]
            if message.to == NOBODY:
                raise Refused("this number is not on WhatsApp")
            self.sent.append(message)
            return Sent(f"WA{len(self.sent)}", datetime.now(UTC))
        finally:
            self.at_once -= 1

    async def receive(self, body: str, number: int = 1) -> None:
        """A message comes in."""
        assert self.emit is not None
        who = Party("800002@lid", "+4915100000002", "800002@lid")
        message = Message(
            id=MessageId(f"IN{number}"),
            chat=who,
            sender=who,
            from_me=False,
            timestamp=datetime.now(UTC),
            content=TextContent(text=body),
            push_name="Ana",
        )
        await self.emit(Received(message))

    async def read(self, whatsapp_id: str) -> None:
        """A message that we sent was read."""
        assert self.emit is not None
        chat = "4915100000002@s.whatsapp.net"
        await self.emit(Receipt((whatsapp_id,), ReceiptKind.READ, chat, datetime.now(UTC)))

    async def logout(self) -> None:
        self.logouts += 1
        self._refuse_foreign()
        if self.linked and (self.running == 0 or not self.reachable):
            raise TransportError("the phone still lists this device")
        self.linked = False
        self._scanned.clear()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(LoggedOut("the bot was logged out", action="pair it again"))

    def _refuse_foreign(self) -> None:
        known = (self.account.phone, self.account.lid)
        if self.foreign or (self.linked and any(known) and not {self.identity.phone, self.identity.lid} & {*known}):
            raise foreign()

    async def pairing_code(self, phone: str) -> PairingCode:
        return PairingCode("ABCD-EFGH", datetime.now(UTC) + timedelta(seconds=160))


class ProbedTransport(ScriptedTransport):
    """One that can be probed: answers while `hears`, and not before `answers` is set."""

    hears = True
    probes = 0
    quiet: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answers = asyncio.Event()
        self.answers.set()

    async def probe(self) -> None:
        self.probes += 1
        await self.answers.wait()
        if not self.hears:
            raise TransportError("WhatsApp stopped answering", condition=Condition.SILENT)


ORIGIN = "https://web.whatsapp.com"
CODE = "ABCD-2345"
"""The verification code of every pairing with a passkey."""
STEPS = {
    PairingStep.SCAN: ("this account demands a passkey: scan once more", "scan the new QR code"),
    PairingStep.PASSKEY: (
        "WhatsApp wants the passkey of this account",
        "Answer with the passkey in a desktop browser, as the page of this bot says. Keep WhatsApp open on the phone.",
    ),
    PairingStep.PHONE: (
        "the passkey was accepted; the phone has to finish the pairing",
        "Accept on the phone; it may show the verification code.",
    ),
    PairingStep.COMPARE: (
        "the phone shows a verification code that has to be compared",
        "Compare the code on the phone with the one here, and confirm it if they are equal.",
    ),
}


@dataclass
class PasskeyTransport(ScriptedTransport):
    """One whose account demands a passkey once its code was scanned; checks an answer as the real one does."""

    capabilities: Capabilities = POWERS_WITH_PASSKEY
    compares: bool = False
    """A person has to confirm the verification code."""
    refusals: int = 0
    """So many answers WhatsApp refuses that we found nothing wrong with."""
    shows_code: bool = True
    """The phone has answered."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """What WhatsApp accepted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.step = PairingStep.SCAN
        self.challenges = 0
        self.expires_at = datetime.now(UTC)
        self.accepted = asyncio.Event()
        """The phone has finished the pairing."""
        self.confirmed = asyncio.Event()

    async def _pair(self, emit: Emit) -> None:
        self.step = PairingStep.SCAN
        self.accepted.clear()
        self.confirmed.clear()
        await emit(QrCode("2@ref,noise,identity,secret", datetime.now(UTC) + timedelta(seconds=60), 1))
        await self._scanned.wait()
        self._scanned.clear()
        assert self._ended is not None
        await self.ask()
        accepted = asyncio.ensure_future(self.accepted.wait())
        try:
            await asyncio.wait([accepted, self._ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepted.cancel()
        if self._ended.done():
            raise self._ended.result()
        self.linked = True
        await emit(Paired(self.identity))

    async def ask(self) -> None:
        """WhatsApp sends a challenge."""
        self.challenges += 1
        await self.go(PairingStep.PASSKEY)

    async def go(self, step: PairingStep, words: tuple[str, str] | None = None) -> None:
        """Come to *step*, with its own *words* if they are not the usual ones."""
        assert self.emit is not None
        self.step, self.expires_at = step, datetime.now(UTC) + timedelta(seconds=600)
        await self.emit(PairingProgress(step, self.expires_at, *(words or STEPS[step])))

    def end(self, error: Exception) -> None:
        """The pairing ends."""
        assert self._ended is not None
        self._ended.set_result(error)

    def passkey(self) -> PasskeyChallenge | VerificationCode:
        if self.step is PairingStep.SCAN or self.running == 0:
            raise Conflict("WhatsApp has not asked for a passkey")
        if self.step is not PairingStep.PASSKEY:
            if not self.shows_code:
                raise Conflict("WhatsApp took the passkey: now the phone has to answer. Open WhatsApp there.")
            return VerificationCode(CODE, self.step is PairingStep.COMPARE, self.expires_at)
        question = {
            "challenge": _base64url(self._challenge),
            "timeout": 600000,
            "rpId": "whatsapp.com",
            "allowCredentials": [],
            "userVerification": "required",
            "extensions": {"uvm": True},
        }
        return PasskeyChallenge(question, ORIGIN, self.expires_at)

    @property
    def _challenge(self) -> bytes:
        return hashlib.sha256(f"challenge {self.challenges}".encode()).digest()

    async def answer_passkey(self, answer: Mapping[str, Any]) -> None:
        if self.step is not PairingStep.PASSKEY:
            raise Conflict("no passkey is asked for")
        self._check(answer["response"])
        if self.refusals:
            self.refusals -= 1
            await self.ask()
            raise PasskeyRefused(
                "WhatsApp did not accept this passkey. Is it the one of this account? Here is a new question."
            )
        self.answers.append(dict(answer))
        await self.go(PairingStep.COMPARE if self.compares else PairingStep.PHONE)

    def _check(self, response: Mapping[str, Any]) -> None:
        try:
            client = json.loads(base64.urlsafe_b64decode(response["clientDataJSON"] + "=="))
            flags = base64.urlsafe_b64decode(response["authenticatorData"] + "==")[32]
            challenge, origin = client["challenge"], client["origin"]
        except (ValueError, LookupError, TypeError):
            raise InvalidInput("this is not the answer of a passkey", field="answer") from None
        if challenge != _base64url(self._challenge):
            raise Conflict("the answer is for an older question: copy the new one")
        if origin != ORIGIN:
            raise InvalidInput(f"the passkey was used on {origin} instead of web.whatsapp.com", field="answer")
        if not flags & 4:
            raise InvalidInput("the passkey was used without PIN, face or finger", field="answer")

    async def confirm_passkey(self, code: str) -> None:
        if self.step is not PairingStep.COMPARE:
            raise Conflict("no code is to be confirmed")
        if code != CODE:
            words = "Stop: somebody else is in between. Nothing was linked."
            self.end(Blocked(words, action="do not scan again before you know who", condition=Condition.CODES_DIFFER))
            raise Conflict(words)
        self.confirmed.set()
        await self.go(PairingStep.PHONE)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class ScriptedTransports:
    """Makes them, and remembers what is kept for which bot, as a sessions folder would."""

    def __init__(
        self,
        *,
        linked: bool = False,
        pairs: bool = False,
        kind: type[ScriptedTransport] = ScriptedTransport,
    ) -> None:
        self.made: dict[str, Any] = {}
        self.forgotten: list[str] = []
        self.adopted: dict[str, bytes] = {}
        self.occupied: set[str] = set()
        """Bots for whom something is kept that nobody knows of."""
        self.linked = linked
        self.pairs = pairs
        self.kind = kind
        self.manners: dict[str, Any] = {}
        """Fields of every transport that is made from now on."""

    def __call__(self, bot: BotId) -> Any:
        linked = self.linked or bot in self.occupied
        self.made[bot] = self.kind(bot, linked=linked, pairs=self.pairs, **self.manners)
        return self.made[bot]

    async def forget(self, bot: BotId) -> None:
        self.forgotten.append(bot)
        self.occupied.discard(bot)
        if bot in self.made:
            self.made[bot].linked = self.made[bot].foreign = False

    async def state(self, bot: BotId, *, at_rest: bool) -> bytes:
        assert self.made[bot].running == 0 or not at_rest, "copied for a move while it still runs"
        return f"state of {bot}".encode()

    async def keeps(self, bot: BotId) -> bool:
        return bot in self.occupied or (bot in self.made and self.made[bot].linked)

    async def adopt(self, bot: BotId, state: bytes) -> None:
        if await self.keeps(bot):
            raise Conflict("there is an auth file already")
        self.adopted[bot] = state
        self.occupied.add(bot)
        if bot in self.made:
            self.made[bot].linked = True

    def __getitem__(self, bot: str) -> Any:
        return self.made[bot]


def foreign() -> Blocked:
    """What a transport raises whose files were exchanged with another bot's."""
    return Blocked("the auth file is that of another bot", action="put it back", condition=Condition.AUTH_FOREIGN)
