"""WhatsApp Web through the neonize engine, in process. Loaded lazily: the pairing child needs only a little of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zapwire.transport.whatsapp_web.factory import WhatsAppWeb as WhatsAppWeb
    from zapwire.transport.whatsapp_web.network.server_override import ensure_environment as ensure_environment

__all__ = ["WhatsAppWeb", "ensure_environment"]


def __getattr__(name: str) -> Any:
    if name == "WhatsAppWeb":
        from zapwire.transport.whatsapp_web.factory import WhatsAppWeb  # noqa: PLC0415

        return WhatsAppWeb
    if name == "ensure_environment":
        from zapwire.transport.whatsapp_web.network.server_override import ensure_environment  # noqa: PLC0415

        return ensure_environment
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
