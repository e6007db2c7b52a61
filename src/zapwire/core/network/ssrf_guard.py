"""Which addresses webhooks and proxies may be at: by default only those that the whole Internet can reach.

Whoever may add one could otherwise make the daemon talk to what only its machine reaches: databases on loopback,
routers, the metadata service of a cloud. Of webhooks the check is made on the address that a socket is about to be
connected to, for every connection, so that a name which resolves to something else the next time (DNS rebinding) gains
nothing. The engine connects to proxies by itself: of them every address of the name is checked when it is set.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

import aiohttp

from zapwire.core.network.dns import Resolver
from zapwire.model.errors import InvalidInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

WEBHOOKS = "ZAPWIRE_WEBHOOK_ALLOW_NETWORKS"
PROXIES = "ZAPWIRE_PROXY_ALLOW_NETWORKS"
MEDIA_URLS = "ZAPWIRE_MEDIA_ALLOW_NETWORKS"

# IANA's special-purpose registries, and what clouds serve to their own machines from elsewhere.
_INSIDE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also a metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's metadata and agent channel: a public address that only its machines reach
        "169.254.0.0/16",  # link-local; the usual metadata service
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "100::/64",
        "2001::/23",  # Teredo, which carries IPv4 addresses, and others
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "64:ff9b:1::/48",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(OSError):
    """A connection to an address that is not allowed."""

    def __init__(self, setting: str) -> None:
        super().__init__(errno.EACCES, f"its address is not allowed; the setting {setting} can allow it")


class SsrfGuard:
    """Lets through what is reachable by everybody, and what *allowed* names, the value of *setting*."""

    def __init__(
        self, allowed: Iterable[Network] = (), *, setting: str = WEBHOOKS, names: Resolver | None = None
    ) -> None:
        self._allowed = tuple(allowed)
        self._setting = setting
        self._names = names or Resolver()

    def permits(self, address: str) -> bool:
        """May a connection go to this IP address? What is none is refused."""
        try:
            found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        return any(found in network for network in self._allowed) or not any(found in network for network in _INSIDE)

    def open_socket(self, place: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for *place*, where it is about to be connected; raises `Forbidden`. aiohttp's `socket_factory`."""
        family, kind, protocol, _, address = place
        if not self.permits(str(address[0])):
            raise Forbidden(self._setting)
        return socket.socket(family, kind, protocol)

    async def check(self, host: str, field: str = "url", *, every: bool = False) -> bool:
        """Raise `InvalidInput` (*field*) when *host*, a name or an address, leads only to what is not allowed.

        With *every* also when one of its addresses is. A name that does not resolve now is let through, as there is
        nothing to connect to; that is False.
        """
        try:
            found = await self._names.addresses(host, complete=True)
        except OSError:
            return False
        permitted = [self.permits(address) for _, address in found]
        if not (all(permitted) if every else any(permitted)):
            raise InvalidInput(
                f"leads to an address inside this machine's network; the setting {self._setting} can allow it",
                field=field,
            )
        return True


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
