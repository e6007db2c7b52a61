"""Proxies of bots: read, held against the guard, and tried before a bot depends on them."""

from __future__ import annotations

from zapwire.core.guard import Guard
from zapwire.core.keep import KEEP, Keep
from zapwire.errors import InvalidInput, NotSupported, TransportError
from zapwire.proxy import Proxy
from zapwire.transport.base import Transport, TransportFactory, TriesProxies, UsesProxy


class Proxies:
    """Takes proxies for the bots of *transports*, as far as *guard* lets them."""

    def __init__(self, transports: TransportFactory, guard: Guard) -> None:
        self._transports = transports
        self._guard = guard

    async def accept(self, url: str | Keep | None, *, check: bool) -> Proxy | Keep | None:
        """The proxy that *url* names, with *check* once it has led to WhatsApp.

        Raises `InvalidInput` (proxy), which tells why it did not, and `NotSupported` when these transports know no
        proxies. What the guard refuses is not tried: nothing is told of who listens there.
        """
        if url is None or url is KEEP:
            return url
        proxy = Proxy.parse(url)
        if not isinstance(self._transports, TriesProxies):
            raise NotSupported("bots of this transport cannot have a proxy of their own", field="proxy")
        resolved = await self._guard.check(proxy.host, "proxy", every=True)
        if check:
            try:
                if not resolved:
                    raise TransportError("the name of the proxy cannot be resolved")
                await self._transports.try_proxy(proxy)
            except TransportError as error:
                detail = f"{error.detail} (proxy_check: false sets it all the same)"
                raise InvalidInput(detail, field="proxy") from None
        return proxy


def use(transport: Transport, proxy: Proxy | None) -> None:
    """Let *transport* take that way from its next run on."""
    if isinstance(transport, UsesProxy):
        transport.proxy = proxy
