"""Locations, contacts and invitations that are sent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from zapwire.core.messages.content.request import ContentRequest, RequestPart
from zapwire.model.content.places_and_people import ContactCard, ContactContent, GroupInviteContent, LocationContent
from zapwire.model.errors import InvalidInput
from zapwire.model.jid import GROUP_SERVER, parse_phone, parse_recipient

MOST_CONTACTS: Final = 256
MOST_PHONES: Final = 16
_ESCAPED: Final = str.maketrans({"\\": "\\\\", ",": "\\,", ";": "\\;", "\n": "\\n", "\r": None})
"""RFC 6350, section 3.4."""


class LocationRequest(ContentRequest):
    """A place."""

    kind: ClassVar = LocationContent.kind

    type: Literal["location"]
    latitude: Annotated[float, Field(ge=-90, le=90, strict=False)]
    """Degrees."""
    longitude: Annotated[float, Field(ge=-180, le=180, strict=False)]
    """Degrees."""
    name: Annotated[str, Field(max_length=1000)] | None = None
    address: Annotated[str, Field(max_length=1000)] | None = None
    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[!-~]+$")] | None = None
    live: bool = False
    """Shown as a live location, with this as its position; it has a `text`, and no name, address and url."""
    text: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Caption of a live location."""

    def content(self, country: str | None, /) -> LocationContent:
        """See `ContentRequest.content`."""
        where: dict[str, Any] = {"latitude": self.latitude, "longitude": self.longitude}
        names: dict[str, Any] = {"name": self.name, "address": self.address, "url": self.url}
        if self.live:
            if wrong := next((name for name, one in names.items() if one is not None), None):
                raise InvalidInput("a live location has none", field=wrong)
            return LocationContent(**where, live=True, text=self.text, **self.common(country))
        if self.text is not None:
            raise InvalidInput("only a live location has one", field="text")
        return LocationContent(**where, **names, **self.common(country))


class ContactInput(RequestPart):
    """A contact: a vCard, or a name and numbers of which one is made."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    phones: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=MOST_PHONES)] = Field([])
    """With `+` and their country codes, or of the default country."""
    organization: Annotated[str, Field(max_length=256)] | None = None
    vcard: Annotated[str, Field(max_length=64 * 1024)] | None = None
    """A whole vCard, instead of `phones` and `organization`."""


class ContactRequest(ContentRequest):
    """One or more contacts."""

    kind: ClassVar = ContactContent.kind

    type: Literal["contact"]
    contacts: Annotated[list[ContactInput], Field(min_length=1, max_length=MOST_CONTACTS)]

    def content(self, country: str | None, /) -> ContactContent:
        """See `ContentRequest.content`."""
        cards = [_card(one, f"contacts.{place}", country) for place, one in enumerate(self.contacts)]
        return ContactContent(contacts=tuple(cards), **self.common(country))


def _card(given: ContactInput, field: str, country: str | None) -> ContactCard:
    if given.vcard is not None:
        if given.phones or given.organization:
            raise InvalidInput("give either a vCard, or phones and an organization", field=f"{field}.vcard")
        if not given.vcard.lstrip().upper().startswith("BEGIN:VCARD"):
            raise InvalidInput("not a vCard: it begins with BEGIN:VCARD", field=f"{field}.vcard")
        return ContactCard(name=given.name, vcard=given.vcard)
    if not given.phones:
        raise InvalidInput("a contact needs a phone number or a vCard", field=f"{field}.phones")
    name = given.name.translate(_ESCAPED)
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"N:;{name};;;", f"FN:{name}"]
    if given.organization:
        lines.append(f"ORG:{given.organization.translate(_ESCAPED)}")
    for place, phone in enumerate(given.phones):
        number = parse_phone(phone, field=f"{field}.phones.{place}", country=country)
        # `waid` makes it a person of WhatsApp in its apps, with a button to write to
        lines.append(f"TEL;type=CELL;waid={number[1:]}:{number}")
    return ContactCard(name=given.name, vcard="\n".join([*lines, "END:VCARD"]))


class GroupInviteRequest(ContentRequest):
    """An invitation into a group, for somebody who cannot be added."""

    kind: ClassVar = GroupInviteContent.kind

    type: Literal["group_invite"]
    group: Annotated[str, Field(max_length=256)]
    """JID."""
    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Of the group."""
    code: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
    text: Annotated[str, Field(max_length=1024)] | None = None

    def content(self, country: str | None, /) -> GroupInviteContent:
        """See `ContentRequest.content`."""
        group = parse_recipient(self.group, field="group", country=country)
        if group.server != GROUP_SERVER:
            raise InvalidInput("not a group", field="group")
        names: dict[str, Any] = {"name": self.name, "code": self.code, "text": self.text}
        return GroupInviteContent(group=str(group), **names, **self.common(country))
