"""Locations, contacts and invitations. Source: WAWebProtobufsE2E.proto, `LocationMessage`, `ContactMessage`, ..."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.places_and_people import ContactCard, ContactContent, GroupInviteContent, LocationContent
from zapwire.transport.whatsapp_web.content.build import MOST, build, moment
from zapwire.transport.whatsapp_web.engine.protos import e2e


def _location(value: Any) -> LocationContent:
    position = {"latitude": value.degreesLatitude, "longitude": value.degreesLongitude}
    return build(LocationContent, **position, name=value.name, address=value.address, url=value.URL)


def _live_location(value: Any) -> LocationContent:
    position = {"latitude": value.degreesLatitude, "longitude": value.degreesLongitude}
    return build(LocationContent, **position, live=True, text=value.caption)


def _card(value: Any) -> ContactCard:
    return build(ContactCard, name=value.displayName, vcard=value.vcard)


def _contact(value: Any) -> ContactContent:
    return ContactContent(contacts=(_card(value),))


def _contacts(value: Any) -> ContactContent:
    return ContactContent(contacts=tuple(map(_card, value.contacts[:MOST])))


def _group_invite(value: Any) -> GroupInviteContent:
    names = {"name": value.groupName, "text": value.caption, "expires_at": moment(value.inviteExpiration)}
    return build(GroupInviteContent, group=value.groupJID, code=value.inviteCode, **names)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "groupInviteMessage": _group_invite,
}


def encode_location(content: LocationContent) -> Any:
    """The `waE2E.Message` of a place, or of the first position of a live location."""
    if content.live:
        live = e2e.LiveLocationMessage(
            degreesLatitude=content.latitude, degreesLongitude=content.longitude, sequenceNumber=1, timeOffset=0
        )
        if content.text is not None:
            live.caption = content.text
        return e2e.Message(liveLocationMessage=live)
    made = e2e.LocationMessage(degreesLatitude=content.latitude, degreesLongitude=content.longitude)
    for field, value in (("name", content.name), ("address", content.address), ("URL", content.url)):
        if value is not None:
            setattr(made, field, value)
    return e2e.Message(locationMessage=made)


def encode_contacts(content: ContactContent) -> Any:
    """The `waE2E.Message` of one contact or of several."""
    cards = [e2e.ContactMessage(displayName=card.name, vcard=card.vcard) for card in content.contacts]
    if len(cards) == 1:
        return e2e.Message(contactMessage=cards[0])
    shown = f"{len(cards)} contacts"
    return e2e.Message(contactsArrayMessage=e2e.ContactsArrayMessage(displayName=shown, contacts=cards))


def encode_group_invite(content: GroupInviteContent) -> Any:
    """The `waE2E.Message` of an invitation into a group."""
    made = e2e.GroupInviteMessage(groupJID=content.group, inviteCode=content.code, groupName=content.name)
    if content.text is not None:
        made.caption = content.text
    if content.expires_at is not None:
        made.inviteExpiration = int(datetime.fromisoformat(content.expires_at).timestamp())
    return e2e.Message(groupInviteMessage=made)
