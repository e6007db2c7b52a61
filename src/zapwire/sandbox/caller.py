"""Who sent a stanza, and the few things that every handler says."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zapwire.sandbox.node import Attr, Jid, Node

if TYPE_CHECKING:
    from zapwire.sandbox.accounts import Account, Device
    from zapwire.sandbox.world import World

SERVER: Final = Jid("", "s.whatsapp.net")


class QueryError(Exception):
    """An iq that cannot be answered; becomes `<error code text>`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Unhandled(QueryError):
    """Nothing in the sandbox understands this query; it is counted."""

    def __init__(self) -> None:
        super().__init__(501, "feature-not-implemented")


def now() -> str:
    """The time as stanzas tell it: seconds, as text."""
    return str(int(time.time()))


def new_id() -> str:
    """An id for a stanza of the server's own."""
    return secrets.token_hex(8).upper()


def ib(child: Node) -> Node:
    """A piece of information from the server that wants no answer."""
    return Node("ib", {"from": SERVER}, [child])


def notification(kind: str, source: Jid, children: Sequence[Node], **attrs: Attr) -> Node:
    """A notification from the server; the device acknowledges it."""
    return Node("notification", {"from": source, "type": kind, "id": new_id(), "t": now(), **attrs}, list(children))


@dataclass(frozen=True, slots=True)
class Caller:
    """The device that a stanza came from."""

    world: World
    account: Account
    device: Device

    @property
    def jid(self) -> Jid:
        """The device's LID address."""
        return self.account.lid_jid.with_device(self.device.number)

    async def answer(self, node: Node) -> None:
        """Send something back that is not kept when the device is gone."""
        await self.world.send(self.device, node)

    async def post_to_account(self, account: Account, node: Node) -> None:
        """Send to every device of an account, except the one that asks."""
        for device in list(account.devices.values()):
            if device is not self.device:
                await self.world.post(device, node)
