"""Proxies of bots: read, and tried before a bot depends on them."""

from __future__ import annotations

from zapwire.core.keep import KEEP, Keep
from zapwire.errors import InvalidInput, NotSupported, TransportError
from zapwire.proxy import Proxy
from zapwire.transport.base import Transport, TransportFactory, TriesProxies, UsesProxy


async def accept(url: str | Keep | None, transports: TransportFactory, *, check: bool) -> Proxy | Keep | None:
    """The proxy that *url* names, with *check* once it has led to WhatsApp.

    Raises `InvalidInput` (proxy), which tells why it did not, and `NotSupported` when these transports know no proxies.
    """
    if url is None or url is KEEP:
        return url
    proxy = Proxy.parse(url)
    if not isinstance(transports, TriesProxies):
        raise NotSupported("bots of this transport cannot have a proxy of their own", field="proxy")
    if check:
        try:
            await transports.try_proxy(proxy)
        except TransportError as error:
            raise InvalidInput(f"{error.detail} (proxy_check: false sets it all the same)", field="proxy") from None
    return proxy


def use(transport: Transport, proxy: Proxy | None) -> None:
    """Let *transport* take that way from its next run on."""
    if isinstance(transport, UsesProxy):
        transport.proxy = proxy
