"""What handlers of stanzas see of the world: what it keeps, and the ways to devices."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from zapwire.sandbox.server.state.accounts import Account, AccountDevice, Directory
from zapwire.sandbox.server.state.app_state_store import AppState
from zapwire.sandbox.server.state.channels import Channels
from zapwire.sandbox.server.state.faults import Faults
from zapwire.sandbox.server.state.groups import Groups
from zapwire.sandbox.server.state.media_store import MediaStore
from zapwire.sandbox.server.state.statistics import Statistics
from zapwire.wire.node import Node, WireJid


class Context(Protocol):
    """Implemented by `World`, which knows the handlers; so they know only this."""

    directory: Directory
    groups: Groups
    channels: Channels
    media: MediaStore
    app_state: AppState
    faults: Faults
    statistics: Statistics
    media_host: str

    @property
    def accounts(self) -> dict[str, Account]:
        """All accounts by the digits of their phone number."""

    def account_of(self, jid: WireJid) -> Account | None:
        """The account behind a phone number or LID, whatever the device."""

    def changed(self) -> None:
        """Something that is worth saving has changed."""

    async def activate(self, device: AccountDevice) -> None:
        """Send a client what waited for it, and go on live."""

    async def send(self, device: AccountDevice, node: Node) -> None:
        """Give a stanza to a device if it is online; it is not kept."""

    async def post(self, device: AccountDevice, node: Node) -> None:
        """Give a stanza to a device now or later, after everything that was posted before."""

    async def devices_changed(self, account: Account) -> None:
        """Tell everybody who keeps this account's device list that it has changed."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something beside the caller; it ends with the world."""
