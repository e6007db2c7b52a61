"""Messages flow in while the daemon is killed again and again; then every one of them is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.harness.chat import BOT_NUMBER, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Phone, Sandbox

CONTACTS = 5


@dataclass
class Account:
    """What became of the messages."""

    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By id: contact and number, in the order in which the server got them."""
    acknowledged: set[str] = field(default_factory=set)
    journal: list[str] = field(default_factory=list)
    deliveries: list[tuple[str, str]] = field(default_factory=list)
    """Message and `webhook-id`, as they came."""
    streamed: list[int] = field(default_factory=list)
    """`seq` of what the WebSocket gave, over all its connections."""
    kills: int = 0
    connections: int = 0

    @property
    def lost(self) -> set[str]:
        return self.acknowledged - set(self.journal)

    @property
    def repeats(self) -> int:
        return len(self.deliveries) - len({message for message, _ in self.deliveries})

    def line(self) -> str:
        return (
            f"{self.kills} kills, {len(self.sent)} messages: {len(self.lost)} lost, "
            f"{len(self.deliveries)} deliveries of which {self.repeats} repeats, "
            f"{len(self.streamed)} events over {self.connections} WebSockets"
        )

    def check(self) -> None:
        """All but the loss, which the caller judges."""
        assert self.acknowledged == set(self.sent), "the server waits for no acknowledgement"
        assert len(self.journal) == len(set(self.journal)), "stored twice"
        assert {message for message, _ in self.deliveries} == set(self.journal), "each at least once"
        ids = dict(self.deliveries)
        assert all(ids[message] == webhook_id for message, webhook_id in self.deliveries), "repeats have the same id"
        assert len(set(ids.values())) == len(ids)
        firsts = list(dict.fromkeys(message for message, _ in self.deliveries))
        for contact in range(CONTACTS):
            for found in (self.journal, firsts):
                numbers = [number for chat, number in map(self.sent.__getitem__, found) if chat == contact]
                assert numbers == sorted(numbers), f"the order in chat {contact}"
        assert self.streamed == list(range(self.streamed[0], self.streamed[0] + len(self.streamed))), "gap or repeat"


async def run(
    daemon: Daemon, sandbox: Sandbox, receiver: Receiver, *, kills: int, messages: int, chance: random.Random
) -> Account:
    """Kill the daemon *kills* times at random points while *messages* come in; returns what became of them."""
    account = Account()
    await daemon.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
    await linked_bot(daemon, sandbox)
    phones = [await sandbox.phone(f"49151000002{number:02}") for number in range(CONTACTS)]
    for contact, phone in enumerate(phones):  # the first message sets the session up; later ones take a millisecond
        await _send(account, phone, contact, 0)
    stream = asyncio.create_task(_follow(daemon, account))
    taking = asyncio.create_task(_take(receiver, account))
    try:
        for number in range(kills):
            share = (messages - len(account.sent)) // (kills - number)
            await _one_kill(daemon, account, phones, share, chance)
        await _settle(daemon, sandbox, account)
    finally:
        for task in (stream, taking):
            task.cancel()
        await asyncio.gather(stream, taking, return_exceptions=True)
    return account


async def _one_kill(daemon: Daemon, account: Account, phones: list[Phone], count: int, chance: random.Random) -> None:
    """*count* messages, and somewhere among them a kill."""
    before = len(account.sent)
    kill_at = before + chance.randrange(1, max(2, count * 3 // 4))
    reached = asyncio.Event()

    async def write(contact: int) -> None:
        while len(account.sent) < before + count:
            await _send(account, phones[contact], contact, len(account.sent))
            if len(account.sent) >= kill_at:
                reached.set()

    sending = asyncio.gather(*(write(contact) for contact in range(CONTACTS)))
    await reached.wait()
    await asyncio.sleep(chance.random() * 0.05)
    await daemon.kill()
    account.kills += 1
    await daemon.start()
    await sending
    await daemon.until_state("shop", "connected")


async def _send(account: Account, phone: Phone, contact: int, number: int) -> None:
    message = await phone.send(BOT_NUMBER, f"{contact}/{number}")
    account.sent[message] = (contact, number)


async def _follow(daemon: Daemon, account: Account) -> None:
    """A client that resumes after each end of its connection."""
    while True:
        after = account.streamed[-1] if account.streamed else None
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TypeError, AssertionError):
            async with daemon.events(after=after) as events:
                account.connections += 1
                while True:
                    account.streamed.append((await events.next(300))["seq"])
        await asyncio.sleep(0.02)


async def _take(receiver: Receiver, account: Account) -> None:
    while True:
        delivery = await receiver.deliveries.get()
        event = delivery.json()
        account.deliveries.append((event["data"]["id"], delivery.headers["webhook-id"]))


async def _settle(daemon: Daemon, sandbox: Sandbox, account: Account) -> None:
    """Wait until the server has nothing left to give and the receiver has it all."""
    async with asyncio.timeout(60):
        while True:
            stanzas = (await sandbox.call("GET", "/trace", direction="in", tag="receipt"))["stanzas"]
            account.acknowledged = {stanza["id"] for stanza in stanzas} & set(account.sent)
            if len(account.acknowledged) == len(account.sent):
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)  # what the engine has taken and not told yet
        account.journal = [event["data"]["id"] for event in await _journal(daemon)]
        while {message for message, _ in account.deliveries} != set(account.journal):  # noqa: ASYNC110 - see _take
            await asyncio.sleep(0.1)
        last = (await daemon.call("GET", "/v1/events", limit=1))["last_seq"]
        while account.streamed[-1] < last:  # noqa: ASYNC110 - see _follow
            await asyncio.sleep(0.1)


async def _journal(daemon: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        page = await daemon.call("GET", "/v1/events", after=after, limit=1000, types="message.received")
        found += page["events"]
        if not page["events"]:
            return found
        after = page["next_after"]
