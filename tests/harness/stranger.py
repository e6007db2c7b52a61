"""A person at a bot's other end who may send anything.

The sandbox runs in this process, so that stanzas can be made by hand.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from zapwire.sandbox.phones.compose import PhoneMessage
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.phones.sending import new_message_id
from zapwire.sandbox.running import RunningSandbox, running_sandbox
from zapwire.sandbox.server.state.accounts import AccountDevice
from zapwire.wire.node import Node, WireJid


class Bytes(str):
    """An attribute that goes out as these bytes, which need not be text."""

    __slots__ = ("data",)

    data: bytes

    def __new__(cls, data: bytes) -> Self:
        made = super().__new__(cls, "\0" + data.decode("latin-1"))  # no token, and no packed form
        made.data = data
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.data


class Stranger:
    """A virtual phone that writes to the companion (the bot) of another one."""

    def __init__(self, sandbox: RunningSandbox, phone: Phone, bot: str) -> None:
        self.sandbox = sandbox
        self.phone = phone
        self._bot = bot

    @property
    def device(self) -> AccountDevice:
        """The bot's."""
        devices = self.sandbox.world.accounts[self._bot].devices
        return devices[max(devices)]

    @property
    def address(self) -> WireJid:
        account = self.sandbox.world.accounts[self._bot]
        return account.lid_jid.with_device(self.device.number)

    async def say(self, text: str) -> str:
        """An ordinary text."""
        return await self.phone.send(PhoneMessage(to=self._bot, text=text))

    def sealed(self, plain: bytes, **attrs: str) -> Node:
        """`<enc>` with any plaintext; `say` something first, so that there is a session."""
        kind, data = self.phone.sending.keys.encrypt(str(self.address), plain)
        return Node("enc", {"v": "2", "type": kind, **attrs}, data)

    async def post(self, *parts: Node, tag: str = "message", **attrs: Any) -> str:
        """A stanza to the bot; returns its id."""
        account = self.phone.account
        given: dict[str, Any] = {
            "from": account.lid_jid,
            "id": new_message_id(),
            "t": str(int(time.time())),
            "type": "text",
            "notify": account.push_name,
            "sender_pn": account.phone_jid,
            "addressing_mode": "lid",
            **attrs,
        }
        await self.sandbox.world.post(self.device, Node(tag, given, list(parts)))
        return str(given["id"])


@asynccontextmanager
async def sandbox_here(folder: Path) -> AsyncIterator[tuple[RunningSandbox, Path]]:
    """A sandbox in this process, and the file that describes it."""
    folder.mkdir(exist_ok=True)
    async with running_sandbox() as sandbox:
        descriptor = folder / "descriptor.json"
        descriptor.write_text(json.dumps(sandbox.descriptor))
        yield sandbox, descriptor
