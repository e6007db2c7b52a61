"""Ten bots that chat all the time, and the books of who sent what: one harness for every fault.

Each bot has a contact of its own. The contact writes, the bot answers each message once it is told of it; both are
counted at both ends. A fault hits the first bot; what the other nine lost meanwhile is then a matter of comparing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.chat import linked_bot
from tests.harness.daemon import Daemon
from tests.harness.proxy import TestProxy
from tests.harness.sandbox import Phone, Sandbox

BOTS = 10
PAUSE = 1.0
"""Seconds between two messages of one contact: ten chats together are 20 messages a second in and out."""


@dataclass
class Chat:
    """A bot, its contact, and the books of their conversation."""

    bot: str
    number: str
    phone: Phone
    contact: Phone
    asked: list[str] = field(default_factory=list)
    """Texts that the contact has sent."""
    emitted: Counter[str] = field(default_factory=Counter)
    """Texts that the daemon emitted an event of."""
    submitted: dict[str, str] = field(default_factory=dict)
    """Answers that the daemon took: their texts, and the ids."""
    answered: Counter[str] = field(default_factory=Counter)
    """Answers that reached the contact."""
    seen: int = 0
    """The cursor in the contact's inbox."""


class Town:
    """The daemon, the sandbox and ten chats; made by `open_town`."""

    def __init__(self, daemon: Daemon, sandbox: Sandbox, proxy: TestProxy, chats: list[Chat]) -> None:
        self.daemon, self.sandbox, self.chats = daemon, sandbox, chats
        self.proxy = proxy
        """For the victim alone, when a fault is to be on its way to WhatsApp."""
        self.victim, self.others = chats[0], chats[1:]
        self.seq = 0
        self.states: list[dict[str, Any]] = []
        """The `bot.state` data of the victim, in order."""
        self.events: list[dict[str, Any]] = []
        """All other events about the victim's state of health, and of the daemon."""
        self._news = asyncio.Condition()
        self._talking = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- the life of the town

    async def open(self) -> None:
        self._talking.set()
        self._tasks = [asyncio.create_task(self._follow())]
        self._tasks += [asyncio.create_task(self._ask(chat)) for chat in self.chats]
        self._tasks += [asyncio.create_task(self._read(chat)) for chat in self.chats]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, chat: Chat) -> None:
        number = 0
        while True:
            await self._talking.wait()
            text = f"{chat.bot} question {number}"
            try:
                await chat.contact.send(chat.number, text)
            except AssertionError:
                await asyncio.sleep(PAUSE)  # its sandbox restarts, or the bot is no device just now
                continue
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            chat.asked.append(text)
            number += 1
            await asyncio.sleep(PAUSE)

    async def _read(self, chat: Chat) -> None:
        while True:
            try:
                page = await chat.contact.call("GET", "/inbox", after=chat.seen, wait=20)
            except (AssertionError, OSError, RuntimeError, TimeoutError):
                await asyncio.sleep(0.5)
                continue
            chat.seen = page["next"]
            chat.answered.update(entry["text"] for entry in page["messages"] if entry.get("text"))

    async def _follow(self) -> None:
        while True:
            try:
                async with self.daemon.events(after=self.seq) as events:
                    while True:
                        await self._take(await events.next(3600))
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the daemon restarts, in whatever way
                await asyncio.sleep(0.2)

    async def _take(self, event: dict[str, Any]) -> None:
        self.seq = event["seq"]
        chat = next((chat for chat in self.chats if chat.bot == event["bot"]), None)
        if event["type"] == "message.received" and chat is not None:
            text = event["data"].get("text")
            if text and not event["data"]["from_me"]:
                chat.emitted[text] += 1
                self._tasks.append(asyncio.create_task(self._answer(chat, text)))
        elif chat is self.victim or chat is None:
            async with self._news:
                known = self.states if event["type"] == "bot.state" else self.events
                known.append(event["data"] | {"type": event["type"]})
                self._news.notify_all()

    async def _answer(self, chat: Chat, question: str) -> None:
        text = question.replace("question", "answer")
        body = {"to": f"+{chat.contact.number}", "text": text}
        while text not in chat.submitted:
            try:
                status, answer = await self.daemon.ask("POST", f"/v1/bots/{chat.bot}/messages", body, once=text)
            except Exception:  # noqa: BLE001 - the daemon restarts, in whatever way
                await asyncio.sleep(0.5)
                continue
            if status == 202:
                chat.submitted[text] = answer["id"]
            else:
                await asyncio.sleep(0.5)

    # ---- for the tests

    async def fault(self, kind: str, *, everybody: bool = False, **values: Any) -> None:
        phone = {} if everybody else {"phone": self.victim.number}
        await self.sandbox.call("POST", "/faults", {"kind": kind, **phone, **values})

    async def clear(self) -> None:
        await self.sandbox.call("POST", "/faults", {"kind": "clear"})

    async def until(self, within: float, *states: str, code: str | None = None, after: int = 0) -> dict[str, Any]:
        """The first state of the victim's, from number *after* on, that is one of *states* (with *code*)."""

        def found() -> dict[str, Any] | None:
            return next(
                (
                    one
                    for one in self.states[after:]
                    if one["state"] in states and (code is None or one["code"] == code)
                ),
                None,
            )

        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(found)
        except TimeoutError:
            seen = [(one["state"], one["code"], one["reason"]) for one in self.states[after:]]
            raise AssertionError(f"no {states} {code} within {within} s; seen {seen}") from None
        result = found()
        assert result is not None
        return result

    async def until_event(self, kind: str, within: float, after: int = 0) -> dict[str, Any]:
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: any(one["type"] == kind for one in self.events[after:]))
        return next(one for one in self.events[after:] if one["type"] == kind)

    async def bot(self) -> dict[str, Any]:
        """The victim as it is now."""
        return dict(await self.daemon.call("GET", f"/v1/bots/{self.victim.bot}"))

    async def order(self, what: str) -> None:
        """Let the victim be told to connect, to restart ..."""
        await self.daemon.call("POST", f"/v1/bots/{self.victim.bot}/{what}")

    async def change(self, **values: Any) -> None:
        """Let the victim's settings be changed."""
        await self.daemon.call("PATCH", f"/v1/bots/{self.victim.bot}", values)

    async def back(self, within: float) -> None:
        """Wait until every bot is connected and well."""
        bots: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(within):
                while True:
                    bots = (await self.daemon.call("GET", "/v1/bots"))["bots"]
                    if all(bot["state"] == "connected" and bot["code"] is None for bot in bots):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            odd = [(bot["id"], bot["state"], bot["code"], bot["reason"]) for bot in bots if bot["state"] != "connected"]
            raise AssertionError(f"not back within {within} s: {odd}") from None

    async def recover(self) -> None:
        """After a case that failed: as far as possible a town in which the next one can begin."""
        await self.clear()
        await self.order("connect")
        try:
            await self.back(60)
        except AssertionError:
            if (await self.bot())["state"] == "pairing":
                await self.victim.phone.scan(await self.daemon.qr(self.victim.bot))
            await self.back(60)
        for chat in self.chats:
            self.forget(chat)

    async def lost(self, chats: list[Chat], within: float = 40) -> list[str]:
        """What of all that was said in *chats* is not at its other end; waits for what is on its way."""
        self._talking.clear()
        try:
            async with asyncio.timeout(within):
                while self._missing(chats):  # noqa: ASYNC110 - three books at once
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return self._missing(chats)
        finally:
            self._talking.set()
        return []

    async def unknown(self, chat: Chat) -> list[str]:
        """Answers that did not arrive and of which the bot says so: they were under way when WhatsApp fell silent."""
        found = []
        for text, message in chat.submitted.items():
            if not chat.answered[text]:
                view = await self.daemon.call("GET", f"/v1/bots/{chat.bot}/messages/{message}")
                if view["state"] == "unknown":
                    found.append(f"never answered: {text}")
        return found

    def _missing(self, chats: list[Chat]) -> list[str]:
        missing = []
        for chat in chats:
            missing += [f"never emitted: {text}" for text in chat.asked if not chat.emitted[text]]
            missing += [f"emitted {count} times: {text}" for text, count in chat.emitted.items() if count > 1]
            answers = [text.replace("question", "answer") for text in chat.asked]
            missing += [f"never answered: {text}" for text in answers if not chat.answered[text]]
        return missing

    def forget(self, chat: Chat) -> None:
        """Reset its books: what was lost is counted, and belongs to the fault."""
        chat.asked.clear()
        chat.submitted.clear()
        chat.emitted.clear()
        chat.answered.clear()


@asynccontextmanager
async def open_town(folder: Path, bots: int = BOTS, **env: str) -> AsyncIterator[Town]:
    """Ten linked bots in one daemon, chatting."""
    for name in ("sandbox", "daemon"):
        (folder / name).mkdir()
    async with Sandbox(folder / "sandbox") as sandbox, TestProxy("http", sandbox.descriptor) as proxy:
        daemon = Daemon(folder / "daemon", sandbox.descriptor_file, **env)
        async with daemon:

            async def settle(n: int) -> Chat:
                bot, number = f"bot-{n}", f"49151100000{n:02}"
                phone = await linked_bot(daemon, sandbox, bot, number)
                return Chat(bot, number, phone, await sandbox.phone(f"49151200000{n:02}"))

            town = Town(daemon, sandbox, proxy, list(await asyncio.gather(*(settle(n) for n in range(bots)))))
            await town.open()
            try:
                yield town
            finally:
                await town.close()
