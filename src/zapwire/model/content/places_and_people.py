"""Locations, contacts and invitations."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content, ContentPart


class LocationContent(Content):
    """A place; of a live location the first one, and only `text` beside it."""

    kind: ClassVar = "location"

    latitude: float | None
    """Degrees; null where the sender gave no number."""
    longitude: float | None
    name: str | None = None
    address: str | None = None
    url: str | None = None
    live: bool = False
    text: str | None = None
    """Caption of a live location."""


class ContactCard(ContentPart):
    """One contact."""

    name: str
    vcard: str


class ContactContent(Content):
    """One or more contacts."""

    kind: ClassVar = "contact"

    contacts: tuple[ContactCard, ...]


class GroupInviteContent(Content):
    """An invitation into a group."""

    kind: ClassVar = "group_invite"

    group: str | None = None
    """JID."""
    name: str | None = None
    code: str | None = None
    text: str | None = None
    expires_at: str | None = None
    """RFC 3339."""
