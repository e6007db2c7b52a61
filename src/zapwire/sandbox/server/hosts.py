"""WhatsApp's host names, which lead to the sandbox."""

from __future__ import annotations

from typing import Final

SOCKET_HOST: Final = "web.whatsapp.com"
MEDIA_SUFFIX: Final = ".whatsapp.net"
PORT: Final = "443"


def is_whatsapp(host: str) -> bool:
    """Is this the name of WhatsApp's socket or of one of its media servers?"""
    return host == SOCKET_HOST or host.endswith(MEDIA_SUFFIX)


def leads_to_sandbox(target: str) -> bool:
    """Is `host:port` the socket's or a media server's address?"""
    host, _, port = target.rpartition(":")
    return port == PORT and is_whatsapp(host)
