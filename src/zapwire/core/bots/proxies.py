"""Proxies of bots: read, held against the guard, and tried before a bot depends on them."""

from __future__ import annotations

from zapwire.core.network.ssrf_guard import SsrfGuard
from zapwire.model.bots import TransportKind
from zapwire.model.errors import InvalidInput, NotSupported, TransportError
from zapwire.model.proxy import Proxy
from zapwire.model.unset import KEEP, Keep
from zapwire.transport.protocol import Transport, TriesProxies, UsesProxy
from zapwire.transport.registry import TransportRegistry


class Proxies:
    """Takes proxies for the bots of *transports*, as far as *guard* lets them."""

    def __init__(self, transports: TransportRegistry, guard: SsrfGuard) -> None:
        self._transports = transports
        self._guard = guard

    async def accept(self, url: str | Keep | None, kind: TransportKind, *, check: bool) -> Proxy | Keep | None:
        """The proxy that *url* names for a bot of that *kind*, with *check* once it has led to WhatsApp.

        Raises `InvalidInput` (proxy), which tells why it did not, and `NotSupported` when that transport knows no
        proxies. What the guard refuses is not tried: nothing is told of who listens there.
        """
        if url is None or url is KEEP:
            return url
        proxy = Proxy.parse(url)
        factory = self._transports.factory(kind)
        if not isinstance(factory, TriesProxies):
            raise NotSupported("bots of this transport cannot have a proxy of their own", field="proxy")
        resolved = await self._guard.check(proxy.host, "proxy", every=True)
        if check:
            try:
                if not resolved:
                    raise TransportError("the name of the proxy cannot be resolved")
                await factory.try_proxy(proxy)
            except TransportError as error:
                detail = f"{error.detail} (proxy_check: false sets it all the same)"
                raise InvalidInput(detail, field="proxy") from None
        return proxy


def use(transport: Transport, proxy: Proxy | None) -> None:
    """Let *transport* take that way from its next run on."""
    if isinstance(transport, UsesProxy):
        transport.proxy = proxy
