"""Transports driven by requests as JSON would carry them: `tests/transport/driver.py` does so in another process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from zapwire.errors import ZapwireError
from zapwire.model import BotId, Identity, Outgoing


def describe(error: BaseException) -> dict[str, Any]:
    condition = getattr(error, "condition", None)
    return {
        "error": type(error).__name__,
        "detail": str(error),
        "action": getattr(error, "action", None),
        "condition": None if condition is None else str(condition),
    }


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

    async def start(self, bot: str) -> None:
        async def emit(event: Any) -> None:
            self._say(bot=bot, event=type(event).__name__, **dataclasses.asdict(event))

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
        return dataclasses.asdict(await self.bot(bot).send(Outgoing(to, "text", {"text": text})))

    async def probe(self, bot: str) -> None:
        await self.bot(bot).probe()

    async def code(self, bot: str, phone: str) -> Any:
        return (await self.bot(bot).pairing_code(phone)).code

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
