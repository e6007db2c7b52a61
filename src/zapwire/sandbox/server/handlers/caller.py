"""Who sent a stanza."""

from __future__ import annotations

from dataclasses import dataclass

from zapwire.sandbox.server.context import Context
from zapwire.sandbox.server.state.accounts import Account, AccountDevice
from zapwire.wire.node import Node, WireJid


@dataclass(frozen=True, slots=True)
class Caller:
    """The device that a stanza came from."""

    world: Context
    account: Account
    device: AccountDevice

    @property
    def jid(self) -> WireJid:
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
