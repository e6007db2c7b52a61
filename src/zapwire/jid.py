"""WhatsApp addresses: reading them, and making them from what people type.

Source: whatsmeow types/jid.go. `user[.agent][:device]@server`; servers used here are `s.whatsapp.net` (phone number),
`lid` (hidden identity) and `g.us` (group).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers

from zapwire.errors import InvalidInput

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
GROUP_SERVER = "g.us"

_JID = re.compile(r"(?P<user>[0-9]{5,20}(?:-[0-9]{5,15})?)@(?P<server>s\.whatsapp\.net|lid|g\.us)")


@dataclass(frozen=True, slots=True)
class Jid:
    """A chat or account address without its device part."""

    user: str
    server: str

    def __str__(self) -> str:
        return f"{self.user}@{self.server}"


def parse_recipient(text: str, *, field: str = "to") -> Jid:
    """Read `+E.164`, bare digits with country code, or a JID.

    Raises `InvalidInput` naming *field*; the detail does not repeat the value, as it may be a phone number.
    """
    text = text.strip()
    if "@" in text:
        match = _JID.fullmatch(text)
        if match is None:
            raise InvalidInput("not a JID of a person or group (<digits>@s.whatsapp.net, @lid or @g.us)", field=field)
        return Jid(match["user"], match["server"])
    return Jid(parse_phone(text, field=field)[1:], PHONE_SERVER)


def parse_phone(text: str, *, field: str = "phone") -> str:
    """Read a phone number with country code, with or without `+`, spaces, dots and dashes; returns E.164.

    Raises `InvalidInput` naming *field*.
    """
    digits = re.sub(r"[\s().-]", "", text).removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        raise InvalidInput("not a phone number: give it with country code, like +4915123456789", field=field)
    try:
        number = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException as error:
        raise InvalidInput("not a phone number: give it with country code, like +4915123456789", field=field) from error
    if not phonenumbers.is_possible_number(number):
        raise InvalidInput("too short or too long for a phone number of that country", field=field)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
