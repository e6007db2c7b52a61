"""Transports driven by requests as JSON would carry them: `tests/transport/driver.py` does so in another process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from zapwire.model.bots import BotId, Identity
from zapwire.model.content.text import TextContent
from zapwire.model.errors import ZapwireError
from zapwire.model.messages import Outgoing
from zapwire.model.pairing import PairingOptions
from zapwire.model.proxy import Proxy
from zapwire.transport.protocol import (
    KeepsAuthState,
    PairsByCode,
    PairsByPasskey,
    Received,
    TakesPairingOptions,
    TriesProxies,
    UsesProxy,
)


def describe(error: BaseException) -> dict[str, Any]:
    condition = getattr(error, "condition", None)
    return {
        "error": type(error).__name__,
        "detail": str(error),
        "action": getattr(error, "action", None),
        "condition": None if condition is None else str(condition),
    }


def as_fields(event: Any) -> dict[str, Any]:
    """An event of a transport as JSON would carry it."""
    fields = dataclasses.asdict(event)
    if isinstance(event, Received):
        fields["message"] |= {"type": event.message.type, "content": event.message.content.as_json()}
    return fields


class Driver:
    """Answers requests; *say* is told the answers, and what the transports emit."""

    def __init__(self, transports: Any, say: Callable[..., None]) -> None:
        self._transports = transports
        self._say = say
        self._bots: dict[str, Any] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._copy = b""
        self._requests: set[asyncio.Task[None]] = set()

    def bot(self, name: str) -> Any:
        if name not in self._bots:
            self._bots[name] = self._transports(BotId(name))
        return self._bots[name]

    async def powers(self, bot: str) -> dict[str, Any]:
        """What a transport and its factory announce, and which optional protocols they implement."""
        made, factory = self.bot(bot), self._transports
        announced = made.capabilities
        return {
            "announced": {
                "pairing_code": announced.pairing_code,
                "passkey": announced.passkey,
                "pairing_options": announced.pairing_options,
                "proxy": announced.proxy,
            },
            "implemented": {
                "pairing_code": isinstance(made, PairsByCode),
                "passkey": isinstance(made, PairsByPasskey),
                "pairing_options": isinstance(made, TakesPairingOptions),
                "proxy": isinstance(made, UsesProxy) and isinstance(factory, TriesProxies),
            },
            "auth_state": isinstance(factory, KeepsAuthState),
            "pairing": announced.pairing_qr or announced.pairing_code,
        }

    async def start(self, bot: str) -> None:
        async def emit(event: Any) -> None:
            self._say(bot=bot, event=type(event).__name__, **as_fields(event))

        async def run() -> None:
            try:
                await self.bot(bot).run(emit)
            except ZapwireError as error:
                self._say(bot=bot, event="ended", **describe(error))

        self._tasks[bot] = asyncio.create_task(run())

    async def stop(self, bot: str) -> None:
        self._tasks[bot].cancel()
        await asyncio.wait([self._tasks[bot]])

    async def send(self, bot: str, to: str, text: str) -> Any:
        return dataclasses.asdict(await self.bot(bot).send(Outgoing(to, TextContent(text=text))))

    async def probe(self, bot: str) -> None:
        await self.bot(bot).probe()

    async def code(self, bot: str, phone: str) -> Any:
        return (await self.bot(bot).pairing_code(phone)).code

    async def proxy(self, bot: str, url: str) -> None:
        self.bot(bot).proxy = Proxy.parse(url)

    async def options(self, bot: str, **fields: Any) -> None:
        self.bot(bot).pairing_options = PairingOptions(**fields)

    async def passkey(self, bot: str) -> Any:
        return dataclasses.asdict(self.bot(bot).passkey())

    async def answer_passkey(self, bot: str, answer: Any) -> None:
        await self.bot(bot).answer_passkey(answer)

    async def confirm_passkey(self, bot: str, code: str) -> None:
        await self.bot(bot).confirm_passkey(code)

    async def logout(self, bot: str) -> None:
        await self.bot(bot).logout()

    async def account(self, bot: str, phone: str | None, lid: str | None) -> None:
        """Whom the bot is linked to, as far as the core knows."""
        self.bot(bot).account = Identity(phone, lid)

    async def keeps(self, bot: str) -> bool:
        return bool(await self._transports.keeps(BotId(bot)))

    async def copy(self, bot: str) -> int:
        """Copy what is kept, for `adopt`; its size."""
        self._copy = await self._transports.state(BotId(bot), at_rest=True)
        return len(self._copy)

    async def adopt(self, bot: str) -> None:
        await self._transports.adopt(BotId(bot), self._copy)

    async def forget(self, bot: str) -> None:
        await self._transports.forget(BotId(bot))

    async def answer(self, request: dict[str, Any]) -> None:
        number, do = request.pop("nr"), request.pop("do")
        try:
            self._say(nr=number, result=await getattr(self, do)(**request))
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked is told
            self._say(nr=number, **describe(error))

    def take(self, request: dict[str, Any]) -> None:
        task = asyncio.create_task(self.answer(request))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def close(self) -> None:
        for name in self._tasks:
            await self.stop(name)
