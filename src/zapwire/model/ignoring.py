"""Which messages a bot does not want: they are dropped before they are stored, and nothing is told of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from zapwire.model.errors import InvalidInput
from zapwire.model.jid import PHONE_SERVER
from zapwire.model.messages import Message, Origin, Party, Undecryptable

FROM_ME: Final = "from_me"
ORIGINS: Final = {
    "groups": Origin.GROUP,
    "status": Origin.STATUS,
    "channels": Origin.CHANNEL,
    "broadcast": Origin.BROADCAST,
}
WORDS: Final = (*ORIGINS, FROM_ME)
MOST: Final = 100
PATTERN: Final = re.compile(r"[0-9*:.-]{1,64}@[a-z.*]{1,32}")
"""A JID, in which `*` stands for any characters."""


def check_ignore(rules: Iterable[str], field: str = "ignore") -> tuple[str, ...]:
    """*rules*, each once: words, or patterns of JIDs. Raises `InvalidInput`."""
    found = tuple(dict.fromkeys(rules))
    if len(found) > MOST:
        raise InvalidInput(f"more than {MOST}", field=field)
    for one in found:
        if one not in WORDS and PATTERN.fullmatch(one) is None:
            words = ", ".join(WORDS)
            raise InvalidInput(f"each has to be one of {words}, or a JID with * for any characters", field=field)
    return found


def is_ignored(rules: tuple[str, ...], message: Message | Undecryptable) -> bool:
    """Does one of *rules* name the message: its origin, that it is the account's own, its chat or its sender?"""
    if not rules:
        return False
    if message.from_me and FROM_ME in rules:
        return True
    if any(rule in rules and message.origin is origin for rule, origin in ORIGINS.items()):
        return True
    names = {*_names(message.chat), *_names(message.sender)}
    return any(fnmatchcase(name, rule) for rule in rules if "@" in rule for name in names)


def _names(party: Party | None) -> Iterable[str]:
    if party is None:
        return
    yield party.jid
    if party.lid is not None:
        yield party.lid
    if party.phone is not None:
        yield f"{party.phone.removeprefix('+')}@{PHONE_SERVER}"
