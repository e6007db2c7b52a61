"""Locations, contacts and invitations. Source: WAWebProtobufsE2E.proto, `LocationMessage`, `ContactMessage`, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.places_and_people import ContactCard, ContactContent, GroupInviteContent, LocationContent
from zapwire.transport.whatsapp_web.content.build import MOST, build


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
    names = {"name": value.groupName, "text": value.caption}
    return build(GroupInviteContent, group=value.groupJID, code=value.inviteCode, **names)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "groupInviteMessage": _group_invite,
}
