"""Which messages a bot does not want."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput
from zapwire.model.ignoring import MOST, check_ignore, is_ignored
from zapwire.model.messages import Message, MessageId, Origin, Party

ANA = Party("8000000000001@lid", "+4915123456789", "8000000000001@lid")
GROUP = Party("120363000000000001@g.us")


def message(chat: Party = ANA, origin: Origin = Origin.PERSON, *, from_me: bool = False) -> Message:
    now = datetime.now(UTC)
    return Message(MessageId("M"), chat, ANA, from_me, now, TextContent(text="hi"), origin=origin)


@pytest.mark.parametrize(
    ("rules", "found", "ignored"),
    [
        ((), message(), False),
        (("groups",), message(GROUP, Origin.GROUP), True),
        (("groups",), message(), False),
        (("status", "channels"), message(Party("1@newsletter"), Origin.CHANNEL), True),
        (("from_me",), message(from_me=True), True),
        (("from_me",), message(), False),
        (("49151*@s.whatsapp.net",), message(), True),
        (("49151*@s.whatsapp.net",), message(GROUP, Origin.GROUP), True),
        (("8000000000001@lid",), message(), True),
        (("*@g.us",), message(), False),
        (("*@g.us",), message(GROUP, Origin.GROUP), True),
    ],
)
def test_rules(rules: tuple[str, ...], found: Message, ignored: bool) -> None:
    assert is_ignored(check_ignore(rules), found) is ignored


@pytest.mark.parametrize(
    "rules", [["people"], ["+4915"], ["[0-9]@s.whatsapp.net"], [""], [f"{n}@lid" for n in range(MOST + 1)]]
)
def test_what_is_no_rule_is_refused(rules: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_ignore(rules)
    assert refused.value.field == "ignore"
