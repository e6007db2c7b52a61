"""WhatsApp addresses: reading them, and making them from what people type.

Source: whatsmeow types/jid.go. `user[.agent][:device]@server`; servers used here are `s.whatsapp.net` (phone number),
`lid` (hidden identity) and `g.us` (group). `c.us` is the older name of `s.whatsapp.net`, as other products write it.

A phone number is never held against a country's numbering plan when it is given with `+`: only WhatsApp knows which
numbers have an account, and it still uses forms that the plans no longer have (Mexico's 1 after 52).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import phonenumbers

from zapwire.model.errors import InvalidInput

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
GROUP_SERVER = "g.us"
CHANNEL_SERVER = "newsletter"
STATUS = "status@broadcast"
"""Where status posts go to, and come from."""

LONGEST: Final = 256
"""Characters of a number or an address as people write it, with separators and what cannot be seen."""
COUNTRIES: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 codes of the countries that a default may be chosen from."""

_JID = re.compile(
    r"(?P<user>[0-9]{1,20})(?::[0-9]{1,3})?@(?P<server>s\.whatsapp\.net|c\.us|lid)"
    r"|(?P<group>[0-9]{1,20}(?:-[0-9]{1,20})?)@g\.us"
    r"|(?P<channel>[0-9]{1,20})@newsletter"
    r"|(?P<status>status)@broadcast"
)
_E164 = re.compile(r"[0-9]{5,15}")
_INVISIBLE: Final = frozenset({"Cf", "Cc", "Zs", "Zl", "Zp"})
_DASH: Final = "Pd"
_SEPARATORS: Final = frozenset("().,/")
_EXAMPLE: Final = "like +4915123456789"


@dataclass(frozen=True, slots=True)
class Jid:
    """A chat or account address without its device part."""

    user: str
    server: str

    def __str__(self) -> str:
        return f"{self.user}@{self.server}"


PERSON_ID: Final = re.compile("prs_[0-9a-f]{24}")
"""What the id of a person looks like."""


def parse_country(text: str | None, *, field: str = "default_country") -> str | None:
    """Read an ISO 3166 code of a country, like `BR`, in capital letters or not. Raises `InvalidInput`."""
    if text is None or text.upper() in COUNTRIES:
        return None if text is None else text.upper()
    raise InvalidInput("not a country: give its two letters of ISO 3166, like BR", field=field)


def parse_recipient(text: str, *, field: str = "to", country: str | None = None) -> Jid:
    """Read a phone number (see `parse_phone`), or a JID of a person (with or without its device part), a group, a
    channel or the status.

    Raises `InvalidInput` naming *field*; the detail does not repeat the value, as it may be a phone number.
    """
    _refuse_long(text, field)
    if "@" not in text:
        return Jid(parse_phone(text, field=field, country=country)[1:], PHONE_SERVER)
    match = _JID.fullmatch(_visible(text))
    if match is None:
        raise InvalidInput(
            "not a JID of a person, a group, a channel or the status "
            "(<digits>@s.whatsapp.net, @lid, @g.us, @newsletter, or status@broadcast)",
            field=field,
        )
    if match["status"] is not None:
        return Jid(*STATUS.split("@"))
    if match["channel"] is not None:
        return Jid(match["channel"], CHANNEL_SERVER)
    if match["group"] is not None:
        return Jid(match["group"], GROUP_SERVER)
    return Jid(match["user"], LID_SERVER if match["server"] == LID_SERVER else PHONE_SERVER)


def parse_phone(text: str, *, field: str = "phone", country: str | None = None) -> str:
    """Read a phone number as people write it; returns E.164: `+` and 5 to 15 digits.

    With `+` it is taken as it is. Without, it is read as a number dialled in *country* (ISO 3166, like `BR`), in which
    the country code may be there or not. Without a country it is refused: nobody can know whether `11 99876-5432` is
    in Brazil or in the United States. Blanks, dashes, brackets and invisible characters of any script are left out.
    Raises `InvalidInput` naming *field*.
    """
    _refuse_long(text, field)
    digits = _without_separators(_visible(text))
    if digits.startswith("+"):
        if _E164.fullmatch(digits[1:]) is None:
            raise InvalidInput(f"not a phone number: + and 5 to 15 digits, {_EXAMPLE}", field=field)
        return digits
    if _E164.fullmatch(digits) is None:
        raise InvalidInput(f"not a phone number: give it with + and its country code, {_EXAMPLE}", field=field)
    if country is None:
        raise InvalidInput(
            f"no country code: give the number with + and its country code, {_EXAMPLE}, or set a default country "
            "(`default_country` of the bot, or of the daemon)",
            field=field,
        )
    return _dialled_in(country, digits, field)


def _refuse_long(text: str, field: str) -> None:
    """Raise `InvalidInput` for what is no number, before each of its characters is looked at."""
    if len(text) > LONGEST:
        raise InvalidInput(f"longer than {LONGEST} characters", field=field)


def _dialled_in(country: str, digits: str, field: str) -> str:
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise InvalidInput(
            f"not a phone number in the default country, {country}: give it with + and its country code, {_EXAMPLE}",
            field=field,
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _visible(text: str) -> str:
    """*text* with ASCII digits, without blanks and what cannot be seen (Unicode categories Z*, Cf, Cc)."""
    characters = []
    for character in unicodedata.normalize("NFKC", text):  # also the full-width plus and digits of East Asian keyboards
        decimal = unicodedata.decimal(character, None)
        if decimal is not None:
            characters.append(str(decimal))
        elif unicodedata.category(character) not in _INVISIBLE:
            characters.append(character)
    return "".join(characters)


def _without_separators(text: str) -> str:
    return "".join(one for one in text if one not in _SEPARATORS and unicodedata.category(one) != _DASH)


def phone_jid(number: str) -> str:
    """The JID of a phone number, with or without its plus sign."""
    return f"{number.removeprefix('+')}@{PHONE_SERVER}"
