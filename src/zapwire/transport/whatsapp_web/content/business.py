"""What shops and callers leave in a chat. Source: WAWebProtobufsE2E.proto, `ProductMessage`, `OrderMessage`, ..."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from zapwire.model.content.business import (
    AlbumContent,
    CallLogContent,
    EventContent,
    EventResponseContent,
    OrderContent,
    PaymentContent,
    ProductContent,
)
from zapwire.model.content.kinds import AnyContent
from zapwire.transport.whatsapp_web.content.build import amount, build, moment
from zapwire.transport.whatsapp_web.engine.protos import e2e


def _product(value: Any) -> ProductContent:
    item = value.product
    names = {"title": item.title, "description": item.description, "url": item.URL, "text": value.body}
    price = {"price": amount(item.priceAmount1000), "currency": item.currencyCode}
    return build(ProductContent, product_id=item.productID, seller=value.businessOwnerJID, **names, **price)


def _order(value: Any) -> OrderContent:
    price = {"price": amount(value.totalAmount1000), "currency": value.totalCurrencyCode}
    names = {"order_id": value.orderID, "seller": value.sellerJID, "title": value.orderTitle}
    return build(OrderContent, **names, **price, items=value.itemCount, text=value.message)


def _note(message: Any) -> str:
    return str(message.extendedTextMessage.text or message.conversation)


def _payment_sent(value: Any) -> PaymentContent:
    return build(PaymentContent, action="sent", message_id=value.requestMessageKey.ID, text=_note(value.noteMessage))


def _payment_requested(value: Any) -> PaymentContent:
    price = amount(value.amount.value, value.amount.offset) if value.HasField("amount") else amount(value.amount1000)
    currency = value.amount.currencyCode or value.currencyCodeIso4217
    return build(PaymentContent, action="requested", amount=price, currency=currency, text=_note(value.noteMessage))


def _payment_answered(action: str, value: Any) -> PaymentContent:
    return build(PaymentContent, action=action, message_id=value.key.ID)


def _payment_invited(_: Any) -> PaymentContent:
    return PaymentContent(action="invited")


def _call(value: Any) -> CallLogContent:
    outcomes = value.DESCRIPTOR.fields_by_name["callOutcome"].enum_type.values_by_number
    outcome = str(outcomes[value.callOutcome].name).lower()
    return build(CallLogContent, outcome=outcome, video=value.isVideo, seconds=value.durationSecs)


def _event(value: Any) -> EventContent:
    times = {"starts_at": moment(value.startTime), "ends_at": moment(value.endTime)}
    place = value.location.name or value.location.address
    names = {"name": value.name, "description": value.description, "link": value.joinLink}
    return build(EventContent, **names, **times, place=place, cancelled=value.isCanceled)


def _event_response(value: Any) -> EventResponseContent:
    return build(EventResponseContent, message_id=value.eventCreationMessageKey.ID)


def _album(value: Any) -> AlbumContent:
    return build(AlbumContent, images=value.expectedImageCount, videos=value.expectedVideoCount)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "productMessage": _product,
    "orderMessage": _order,
    "sendPaymentMessage": _payment_sent,
    "requestPaymentMessage": _payment_requested,
    "declinePaymentRequestMessage": partial(_payment_answered, "declined"),
    "cancelPaymentRequestMessage": partial(_payment_answered, "cancelled"),
    "paymentInviteMessage": _payment_invited,
    "callLogMesssage": _call,
    "eventMessage": _event,
    "encEventResponseMessage": _event_response,
    "albumMessage": _album,
}


def encode_event(content: EventContent, starts_at: int, ends_at: int | None) -> Any:
    """The `waE2E.Message` of an invitation; moments in Unix seconds."""
    made = e2e.EventMessage(name=content.name, startTime=starts_at, isCanceled=content.cancelled)
    if content.description:
        made.description = content.description
    if content.place:
        made.location.name = content.place
    if content.link:
        made.joinLink = content.link
    if ends_at is not None:
        made.endTime = ends_at
    return e2e.Message(eventMessage=made)
