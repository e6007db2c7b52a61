"""The world of the sandbox: accounts, devices and the ways between them.

A stanza from a device comes in through `World.handle`; whatever answers it or follows from it goes out through the
endpoints of the devices concerned. Clients on a socket and virtual phones are the same kind of endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from zapwire.sandbox.server.handlers import devices, presence, stanzas
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.pairings import CodeRequest, Pairings
from zapwire.sandbox.server.passkeys import PasskeyStep
from zapwire.sandbox.server.replies import ib
from zapwire.sandbox.server.state.accounts import Account, AccountDevice, DeviceEndpoint, Directory, UnknownDevice
from zapwire.sandbox.server.state.app_state_store import AppState
from zapwire.sandbox.server.state.channels import Channels
from zapwire.sandbox.server.state.faults import Faults
from zapwire.sandbox.server.state.groups import Groups
from zapwire.sandbox.server.state.mailbox import acknowledged_key, key_of
from zapwire.sandbox.server.state.media_store import MediaStore
from zapwire.sandbox.server.state.statistics import Statistics, kind_of
from zapwire.sandbox.server.state.trace import Trace
from zapwire.wire.node import Node, WireJid


class World:
    """Everything that the server keeps, on one event loop."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.groups = Groups()
        self.channels = Channels()
        self.media = MediaStore()
        self.app_state = AppState()
        self.pairings = Pairings()
        self.faults = Faults()
        self.statistics = Statistics()
        self.trace = Trace()
        self.media_host = "web.whatsapp.com"
        self.on_change: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- accounts

    @property
    def accounts(self) -> dict[str, Account]:
        """All accounts by the digits of their phone number."""
        return self.directory.accounts

    def create_account(self, phone: str, push_name: str = "") -> Account:
        """A new account with its phone as device 0; raises ValueError when the number is none or is taken."""
        account = self.directory.create(phone, push_name)
        self.changed()
        return account

    def account_of(self, jid: WireJid) -> Account | None:
        """The account behind a phone number or LID, whatever the device."""
        return self.directory.find(jid)

    def changed(self) -> None:
        """Something that is worth saving has changed."""
        self.on_change()

    # ---- devices coming and going

    def attach(self, account: Account, device: int, endpoint: DeviceEndpoint, *, hold: bool = False) -> None:
        """The device is online now. What waits for it follows in order, at once or (*hold*) after `activate`."""
        target = self._device(account, device)
        target.endpoint = endpoint
        target.mailbox.restart()
        if not hold:
            target.mailbox.open = True
            self.spawn(self.pump(target), f"sandbox deliver {account.lid}:{device}")

    def detach(self, account: Account, device: int, endpoint: DeviceEndpoint | None = None) -> None:
        """The device is gone; with *endpoint* only if that is still the one attached."""
        target = account.devices.get(device)
        if target is None or (endpoint is not None and target.endpoint is not endpoint):
            return
        target.endpoint = None
        target.mailbox.restart()
        if target.available:
            target.available = False
            account.last_seen = int(time.time())
            self.spawn(presence.announce(self, account), "sandbox presence")
        self.changed()

    async def activate(self, device: AccountDevice) -> None:
        """Send a client what waited for it, between the marks of WhatsApp's offline delivery, and go on live."""
        endpoint, box = device.endpoint, device.mailbox
        if endpoint is None or box.open or box.pumping is endpoint:
            return
        box.pumping = endpoint
        count = str(len(box.unsent))
        tags = [key[0] for key in box.unsent]
        preview = {f"{tag}": str(tags.count(tag)) for tag in ("message", "receipt", "notification")}
        await self.send(device, ib(Node("offline_preview", {"count": count, "appdata": "0", **preview})))
        for position in range(int(count)):
            node = box.take() if device.endpoint is endpoint else None
            if node is None:
                break
            await self.send(device, Node(node.tag, {**node.attrs, "offline": str(position)}, node.content))
        await self.send(device, ib(Node("offline", {"count": count})))
        if box.pumping is endpoint:
            box.pumping, box.open = None, device.endpoint is endpoint
        await self.pump(device)

    # ---- stanzas

    async def handle(self, account: Account, device: int, node: Node) -> None:
        """A stanza from a device. Answers come through its endpoint. Raises UnknownDevice."""
        caller = Caller(self, account, self._device(account, device))
        self.statistics.count(self.statistics.received, kind_of(node))
        if node.tag in {"ack", "receipt"} and caller.device.mailbox.acknowledge(acknowledged_key(node)):
            self.changed()
        await stanzas.handle(caller, node)

    async def send(self, device: AccountDevice, node: Node) -> None:
        """Give a stanza to a device if it is online; it is not kept."""
        if device.endpoint is not None:
            self.statistics.count(self.statistics.sent, kind_of(node))
            await device.endpoint.deliver(node)

    async def post(self, device: AccountDevice, node: Node) -> None:
        """Give a stanza to a device now or later, after everything that was posted before."""
        device.mailbox.put(node)
        self.changed()
        await self.pump(device)

    async def pump(self, device: AccountDevice) -> None:
        """Send what is unsent, in order; a pump that is running already goes on by itself."""
        endpoint, box = device.endpoint, device.mailbox
        if endpoint is None or not box.open or box.pumping is endpoint:
            return
        box.pumping = endpoint
        try:
            while device.endpoint is endpoint and box.open and (node := box.take()) is not None:
                await self.send(device, node)
                if device.number == 0:
                    # A virtual phone lives in this process: what it was given is not lost any more.
                    box.acknowledge(key_of(node))
        finally:
            if box.pumping is endpoint:
                box.pumping = None

    # ---- what a phone does for its companions

    async def pair(self, ref: str, account: Account, key_index: int, identity_container: bytes) -> int:
        """Make the companion that waits under *ref* a device of the account; gives its number.

        Raises LookupError when nobody waits under this ref, and PairingFailed when the companion refuses.
        """
        return await self.pairings.pair(self, ref, account, key_index, identity_container)

    async def demand_passkey(self, ref: str, account: Account) -> PasskeyStep:
        """The phone says that this client needs the account's passkey; raises LookupError."""
        return await self.pairings.demand_passkey(ref, account)

    async def decline(self, ref: str) -> None:
        """The phone's owner does not want this client; raises LookupError."""
        await self.pairings.decline(ref)

    def publish_key_indexes(self, account: Account, signed: bytes, timestamp: int) -> None:
        """Keep the phone's signed list of its companions for all who ask for the account's devices."""
        account.key_indexes, account.key_indexes_time = signed, timestamp
        self.changed()

    def code_requests(self, phone: str) -> list[CodeRequest]:
        """The companions that wait for this phone to type their pairing code, newest last."""
        return self.pairings.code_requests(phone)

    async def primary_hello(self, ref: str, wrapped_ephemeral: bytes, identity_public: bytes) -> None:
        """The phone's answer to a companion's `companion_hello`; raises LookupError."""
        await self.pairings.primary_hello(ref, wrapped_ephemeral, identity_public)

    async def devices_changed(self, account: Account) -> None:
        """Tell everybody who keeps this account's device list that it has changed."""
        await devices.announce(self, account)

    async def remove_device(self, account: Account, number: int) -> None:
        """The phone unlinks a companion: it is cut off, its next login is refused. Raises UnknownDevice."""
        device = self._device(account, number)
        if number == 0:
            raise UnknownDevice("the phone itself cannot be unlinked")
        await devices.remove(self, account, device)

    async def aclose(self) -> None:
        """Cancel what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _device(self, account: Account, number: int) -> AccountDevice:
        device = account.devices.get(number)
        if device is None:
            raise UnknownDevice(f"no device {number}")
        return device

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something of the world's own beside the caller; `aclose` ends it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
