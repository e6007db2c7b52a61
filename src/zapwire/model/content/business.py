"""What shops and callers leave in a chat: products, orders, payments, calls, events."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class ProductContent(Content):
    """A product of a catalogue."""

    kind: ClassVar = "product"

    product_id: str | None = None
    seller: str | None = None
    """JID of the shop."""
    title: str | None = None
    description: str | None = None
    price: str | None = None
    """A decimal number."""
    currency: str | None = None
    """ISO 4217."""
    url: str | None = None
    text: str | None = None


class OrderContent(Content):
    """A cart that a person sent; WhatsApp does not give its lines to linked devices."""

    kind: ClassVar = "order"

    order_id: str | None = None
    seller: str | None = None
    """JID of the shop."""
    title: str | None = None
    items: int | None = None
    price: str | None = None
    """A decimal number."""
    currency: str | None = None
    """ISO 4217."""
    text: str | None = None


class PaymentContent(Content):
    """A payment, a request for one, or an answer to one."""

    kind: ClassVar = "payment"

    action: str
    """`sent`, `requested`, `declined`, `cancelled` or `invited`."""
    message_id: str | None = None
    """Of the request that it is about."""
    amount: str | None = None
    """A decimal number."""
    currency: str | None = None
    """ISO 4217."""
    text: str | None = None


class CallLogContent(Content):
    """A call that is over."""

    kind: ClassVar = "call_log"

    video: bool = False
    outcome: str
    """WhatsApp's word: `connected`, `missed`, `rejected`, ..."""
    seconds: int | None = None


class EventContent(Content):
    """An invitation to an event, which people answer in the chat."""

    kind: ClassVar = "event"

    name: str
    description: str | None = None
    place: str | None = None
    starts_at: str | None = None
    """RFC 3339."""
    ends_at: str | None = None
    """RFC 3339."""
    link: str | None = None
    """Of a call."""
    cancelled: bool = False


class EventResponseContent(Content):
    """An answer to an event's invitation; what it says is encrypted with the event's key."""

    kind: ClassVar = "event_response"

    message_id: str
    """Of the event."""


class AlbumContent(Content):
    """So many pictures and videos follow, and belong together."""

    kind: ClassVar = "album"

    images: int = 0
    videos: int = 0
