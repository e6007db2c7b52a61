"""Which devices an account has, and Signal sessions with them."""

from __future__ import annotations

from collections.abc import Iterable

from zapwire.sandbox.phones.keys import read_bundle
from zapwire.sandbox.phones.line import Line
from zapwire.sandbox.signal.errors import SignalError
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.wire.node import Node, WireJid


class Devices:
    """Asks the server for devices and prekeys, as a wire client does."""

    def __init__(self, line: Line, keys: KeyStore) -> None:
        self._line = line
        self._keys = keys

    @property
    def own(self) -> WireJid:
        """This phone's own address."""
        return self._line.account.lid_jid

    async def of(self, accounts: Iterable[WireJid]) -> list[WireJid]:
        """All devices of these accounts except this phone; accounts that do not exist have none."""
        query = Node("query", content=[Node("devices", {"version": "2"})])
        users = [Node("user", {"jid": account}) for account in dict.fromkeys(accounts)]
        attrs = {"sid": "1", "mode": "query", "last": "true", "index": "0", "context": "message"}
        answer = await self._line.ask("usync", "get", Node("usync", {**attrs}, [query, Node("list", content=users)]))
        listed = answer.child("usync", "list") or Node("list")
        found = [device for user in listed.all("user") for device in self._read(user)]
        return [device for device in found if device != self.own]

    def _read(self, user: Node) -> list[WireJid]:
        account = user.jid("jid")
        devices = user.child("devices", "device-list")
        if account is None or devices is None:
            return []
        return [self._line.lid(account).with_device(int(device.text("id"))) for device in devices.all("device")]

    async def ready(self, devices: Iterable[WireJid], *, renew: bool = False) -> list[WireJid]:
        """Those of *devices* with which there is a session now; missing ones (*renew*: all) are begun with prekeys."""
        wanted = list(devices)
        missing = [device for device in wanted if renew or not self._keys.has_session(str(device))]
        if missing:
            await self._begin(missing)
        return [device for device in wanted if self._keys.has_session(str(device))]

    async def _begin(self, devices: list[WireJid]) -> None:
        users = [Node("user", {"jid": device, "reason": "identity"}) for device in devices]
        answer = await self._line.ask("encrypt", "get", Node("key", content=users))
        listed = answer.child("list") or Node("list")
        for user in listed.all("user"):
            device = user.jid("jid")
            if device is not None and user.child("error") is None:
                self.begin(self._line.lid(device), user)

    def begin(self, device: WireJid, bundle: Node) -> bool:
        """Start a session from a bundle in a stanza; False when the bundle is unusable."""
        try:
            self._keys.start_session(str(device), read_bundle(bundle))
        except SignalError:
            return False
        return True
