"""A transport that does what the test says, at the seam: everything above it is the real code."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from zapwire.errors import Refused
from zapwire.model import BotId, Identity, Message, MessageId, Outgoing, PairingCode, Party, QrCode, Sent
from zapwire.transport.base import Capabilities, Connected, Emit, Paired, Receipt, ReceiptKind, Received, TransportEvent

LINKED = Identity(phone="+4915100000001", lid="900001@lid", push_name="Corner Shop")
NOBODY = "4915199999999@s.whatsapp.net"


class Scripted:
    """Shows one QR code and waits for `scan`; a linked bot connects at once."""

    capabilities = Capabilities(pairing_qr=True, pairing_code=True)

    def __init__(self) -> None:
        self._scanned = asyncio.Event()
        self._emit: Emit | None = None
        self.sent: list[Outgoing] = []
        self.linked = False

    async def run(self, emit: Emit) -> None:
        self._emit = emit
        if not self.linked:
            await emit(QrCode("2@ref,noise,identity,secret", datetime.now(UTC) + timedelta(seconds=60), 1))
            await self._scanned.wait()
            self.linked = True
            await emit(Paired(LINKED))
        await emit(Connected(LINKED))
        await asyncio.Event().wait()

    def scan(self) -> None:
        self._scanned.set()

    async def send(self, message: Outgoing) -> Sent:
        if message.to == NOBODY:
            raise Refused("this number is not on WhatsApp")
        self.sent.append(message)
        return Sent(f"3EB0{len(self.sent):08}", datetime.now(UTC))

    async def emit(self, event: TransportEvent) -> None:
        assert self._emit is not None
        await self._emit(event)

    async def receive(self, text: str, number: int = 1) -> None:
        assert self._emit is not None
        who = Party("800002@lid", "+4915100000002", "800002@lid")
        message = Message(
            id=MessageId(f"IN{number}"),
            chat=who,
            sender=who,
            from_me=False,
            timestamp=datetime.now(UTC),
            type="text",
            content={"text": text},
            push_name="Ana",
        )
        await self._emit(Received(message))

    async def read(self, whatsapp_id: str) -> None:
        assert self._emit is not None
        await self._emit(Receipt((whatsapp_id,), ReceiptKind.READ, "4915100000002@s.whatsapp.net", datetime.now(UTC)))

    async def pairing_code(self, phone: str) -> PairingCode:
        return PairingCode("ABCD-EFGH", datetime.now(UTC) + timedelta(seconds=160))

    async def logout(self) -> None:
        self.linked = False
        self._scanned.clear()


class ScriptedFactory:
    """The transports by bot."""

    def __init__(self) -> None:
        self.bots: dict[str, Scripted] = {}

    def __call__(self, bot: BotId) -> Scripted:
        return self.bots.setdefault(bot, Scripted())

    async def state(self, bot: BotId, *, at_rest: bool) -> bytes:
        return f"state of {bot}".encode()

    async def adopt(self, bot: BotId, state: bytes) -> None:
        self(bot).linked = True

    async def forget(self, bot: BotId) -> None:
        self.bots.pop(bot, None)
