"""What people type as a phone number or an address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.model.errors import InvalidInput
from zapwire.model.jid import parse_phone, parse_recipient


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+4915123456789", "+4915123456789"),
        (" +49 (151) 234.567-89 ", "+4915123456789"),
        ("\u202a+49 1510 0000002\u202c", "+4915100000002"),  # copied from a contact: embedded left to right
        ("+49\u20111510\u20110000002", "+4915100000002"),
        ("\uff0b49\u30001510\u30000000002", "+4915100000002"),
        ("+\u0664\u0669 \u0661\u0665\u0661\u0660 0000002", "+4915100000002"),  # Arabic digits
        ("+49\u00a01510\u2009000\u200b0002\ufeff", "+4915100000002"),
        ("+5215512345678", "+5215512345678"),  # no plan has it any more, and accounts still have it
        ("+558491234567", "+558491234567"),
        ("+99912345", "+99912345"),
    ],
)
def test_a_number_with_its_country_code_is_taken_however_it_is_written(typed: str, number: str) -> None:
    assert parse_phone(typed) == number


@pytest.mark.parametrize(
    ("typed", "country", "number"),
    [
        ("11 99876-5432", "BR", "+5511998765432"),
        ("5511998765432", "BR", "+5511998765432"),
        ("0151 23456789", "DE", "+4915123456789"),
        ("0049 151 23456789", "DE", "+4915123456789"),
        ("+55 11 99876-5432", "DE", "+5511998765432"),
    ],
)
def test_a_number_without_plus_is_one_of_the_default_country(typed: str, country: str, number: str) -> None:
    assert parse_phone(typed, country=country) == number


@pytest.mark.parametrize("typed", ["11 99876-5432", "4915123456789", "0151 23456789"])
def test_without_a_default_country_nothing_is_guessed(typed: str) -> None:
    with pytest.raises(InvalidInput, match=r"no country code: .* default country") as refused:
        parse_phone(typed, field="to")
    assert refused.value.field == "to"


@pytest.mark.parametrize(
    "typed", ["", "+", "hello", "+49 call me", "+1234", "+1234567890123456", "++4915123456789", "+-"]
)
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="not a phone number"):
        parse_phone(typed)


def test_a_number_that_the_default_country_cannot_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="default country, BR"):
        parse_phone("4915123456789", country="BR")


@pytest.mark.parametrize(
    ("typed", "jid"),
    [
        ("4915123456789@s.whatsapp.net", "4915123456789@s.whatsapp.net"),
        ("4915123456789:12@s.whatsapp.net", "4915123456789@s.whatsapp.net"),
        ("4915123456789@c.us", "4915123456789@s.whatsapp.net"),
        ("123456789012345@lid", "123456789012345@lid"),
        ("123456789012345:3@lid", "123456789012345@lid"),
        ("120363041234567890@g.us", "120363041234567890@g.us"),
        ("4915123456789-1600000000@g.us", "4915123456789-1600000000@g.us"),
        ("\u200e0@s.whatsapp.net", "0@s.whatsapp.net"),  # WhatsApp itself writes from here
        ("+4915123456789", "4915123456789@s.whatsapp.net"),
        ("status@broadcast", "status@broadcast"),
        ("120363041234567890@newsletter", "120363041234567890@newsletter"),
    ],
)
def test_an_address_is_taken_as_it_is_told(typed: str, jid: str) -> None:
    assert str(parse_recipient(typed)) == jid


@pytest.mark.parametrize(
    "typed", ["@", "x@g.us", "1@example.com", "x@broadcast", "x@newsletter", "1-2-3@g.us", "1@lid@lid"]
)
def test_other_addresses_are_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="not a JID"):
        parse_recipient(typed)


@pytest.mark.parametrize("text", ["+" + "1" * 256, "\ufdfa" * 257, "@" * 1_000_000, "+49" + " " * 250 + "15123456789"])
def test_what_is_longer_than_any_number_is_not_looked_through(text: str) -> None:
    for parse in (parse_phone, parse_recipient):
        with pytest.raises(InvalidInput, match="longer than 256 characters"):
            parse(text, field="to")


@given(st.text(st.characters(exclude_categories=())), st.sampled_from([None, "BR", "DE", "US"]))
def test_any_text_is_read_or_refused(text: str, country: str | None) -> None:
    try:
        number = parse_phone(text, country=country)
    except InvalidInput:
        return
    assert parse_phone(number) == number
