"""Endpoints that write down what they are given, and a world with a few people in it."""

import asyncio
import itertools
from typing import Self

from zapwire.sandbox.server.replies import SERVER
from zapwire.sandbox.server.state.accounts import Account, AccountDevice, KeyBundle, UploadedSignedPreKey
from zapwire.sandbox.server.world import World
from zapwire.wire.node import Node, WireJid

PEOPLE = {"alice": "491510000001", "bob": "491510000002", "carl": "491510000003"}


class Recorder:
    """Plays one device."""

    def __init__(self, world: World, account: Account, device: int) -> None:
        self.world, self.account, self.number = world, account, device
        self.got: list[Node] = []
        self._ids = itertools.count(1)

    @property
    def jid(self) -> WireJid:
        return self.account.lid_jid.with_device(self.number)

    async def deliver(self, node: Node) -> None:
        self.got.append(node)

    async def send(self, node: Node) -> None:
        await self.world.handle(self.account, self.number, node)

    async def ask(
        self, kind: str, namespace: str, *content: Node, to: WireJid = SERVER, **attrs: str | WireJid
    ) -> Node:
        number = f"q{next(self._ids)}"
        await self.send(Node("iq", {"id": number, "type": kind, "xmlns": namespace, "to": to, **attrs}, list(content)))
        return next(node for node in reversed(self.got) if node.tag == "iq" and node.text("id") == number)

    def all(self, tag: str, kind: str | None = None) -> list[Node]:
        return [n for n in self.got if n.tag == tag and (kind is None or n.text("type") == kind)]

    def forget(self) -> None:
        self.got.clear()


class Town:
    """Alice, Bob and Carl with their phones, and as many companions as a test adds."""

    def __init__(self) -> None:
        self.world = World()
        self.phones: dict[str, Recorder] = {}

    async def __aenter__(self) -> Self:
        for name, number in PEOPLE.items():
            account = self.world.create_account(number, name.title())
            self.phones[name] = self.attach(account, 0)
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.world.aclose()

    def account(self, name: str) -> Account:
        return self.world.accounts[PEOPLE[name]]

    def companion(self, name: str) -> Recorder:
        account = self.account(name)
        number = account.new_device_number()
        account.devices[number] = AccountDevice(number, number, keys(number), b"identity", b"noise")
        account.last_device = number
        return self.attach(account, number)

    def attach(self, account: Account, number: int) -> Recorder:
        recorder = Recorder(self.world, account, number)
        self.world.attach(account, number, recorder)
        return recorder

    async def settle(self) -> None:
        """Let the world's own tasks run to their end."""
        while tasks := [t for t in asyncio.all_tasks() if t.get_name().startswith("sandbox")]:
            await asyncio.gather(*tasks)


def keys(number: int, count: int = 3) -> KeyBundle:
    one_time = {i: bytes([i]) * 32 for i in range(1, count + 1)}
    return KeyBundle(number, bytes([number]) * 32, UploadedSignedPreKey(1, b"s" * 32, b"g" * 64), one_time)


def fan_out(to: WireJid, number: str, *devices: WireJid, kind: str = "msg") -> Node:
    """A message with one ciphertext per device; the ciphertext names its device."""
    parts = [Node("to", {"jid": jid}, [Node("enc", {"v": "2", "type": kind}, str(jid).encode())]) for jid in devices]
    return Node("message", {"to": to, "id": number, "type": "text"}, [Node("participants", {}, parts)])
