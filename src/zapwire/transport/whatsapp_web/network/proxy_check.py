"""Does a bot's proxy lead to WhatsApp: tried for real, up to WhatsApp's certificate, before the bot depends on it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy as Dialler

from zapwire.model.errors import TransportError
from zapwire.model.proxy import Proxy
from zapwire.transport.whatsapp_web.network.preflight import HOST, PORT

DEADLINE: Final = 15.0
_TYPES: Final = {"http": ProxyType.HTTP, "socks5": ProxyType.SOCKS5}


async def try_proxy(proxy: Proxy, ca: Path | None) -> None:
    """Connect to WhatsApp through *proxy* and hang up; *ca* signs another server in WhatsApp's place.

    Raises `TransportError` in plain words, without the proxy's address.
    """
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    dialler = Dialler(_TYPES[proxy.scheme], proxy.host, proxy.port, proxy.user, proxy.password, rdns=True)
    try:
        async with asyncio.timeout(DEADLINE):
            line = await dialler.connect(HOST, PORT)
            _, writer = await asyncio.open_connection(sock=line, ssl=context, server_hostname=HOST)
            writer.close()
    except (TimeoutError, ProxyTimeoutError):
        raise TransportError("the proxy did not answer in time") from None
    except ProxyConnectionError:
        raise TransportError("the proxy cannot be reached") from None
    except ProxyError as error:
        raise TransportError(_refusal(error)) from None
    except ssl.SSLError:
        raise TransportError(
            "the proxy leads to something else than WhatsApp: its certificate is not trusted"
        ) from None
    except OSError:
        raise TransportError("the proxy cut the connection") from None


def _refusal(error: ProxyError) -> str:
    if error.error_code == 407 or "auth" in str(error).lower():
        return "the proxy does not take the user name and the password"
    return "the proxy does not let the connection to WhatsApp through"
