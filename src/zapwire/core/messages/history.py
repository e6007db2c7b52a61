"""A bot's messages in both directions, newest first, a page at a time.

What is asked for beside the chat is looked for in a bounded number of messages for each page: there is no index of what
messages say, as that is sealed. A page may therefore be short, or empty, and still have a next one.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from zapwire.core.events import serializers
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.errors import InvalidInput
from zapwire.model.jid import parse_recipient
from zapwire.model.messages import KnownParty, ListedMessage, OutgoingView, PagePlace, Party
from zapwire.store.ports import Store, View

Direction = Literal["in", "out"]
LOOKED_AT: Final = 500
"""Messages of each direction that are looked at for one page when it is filtered."""
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Behind every message, whichever clock it was stamped by."""
_LONGEST_CURSOR: Final = 512
_LAST: Final = "~"
"""Sorts behind every id."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages are wanted; None: all."""

    chat: str | None = None
    direction: str | None = None
    kinds: tuple[str, ...] | None = None
    states: tuple[str, ...] | None = None
    words: str | None = None
    """In the text, the caption or the like, in any case."""
    after: datetime | None = None

    @property
    def looks_inside(self) -> bool:
        """Has each message to be looked at?"""
        return self.kinds is not None or self.states is not None or self.words is not None

    def takes(self, message: ListedMessage | OutgoingView) -> bool:
        """Is it one of those?"""
        if self.kinds is not None and message.type not in self.kinds:
            return False
        if self.states is not None and not (isinstance(message, OutgoingView) and message.state in self.states):
            return False
        return self.words is None or self.words.casefold() in _words(message).casefold()


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages as JSON, and where the next page begins; None: there is none."""

    messages: list[dict[str, Any]]
    next: str | None


class MessageHistory:
    """Lists messages."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, bot: BotId, wanted: Filter, cursor: str | None, limit: int) -> Page:
        """Up to *limit* messages behind *cursor* (None: from the newest on). Raises `InvalidInput`."""
        if wanted.chat is not None and "@" not in wanted.chat and not wanted.chat.startswith("prs_"):
            wanted = replace(wanted, chat=str(parse_recipient(wanted.chat, field="chat")))
        place = PagePlace(_LATEST, _LAST) if cursor is None else _read_cursor(cursor)
        return await self._store.read(lambda view: _page(view, bot, wanted, place, limit))


def _page(view: View, bot: BotId, wanted: Filter, place: PagePlace, limit: int) -> Page:
    known = None if wanted.chat is None else _party(view, bot, wanted.chat)
    window = LOOKED_AT if wanted.looks_inside else limit + 1
    found: list[ListedMessage | OutgoingView] = []
    if wanted.direction != "out":
        found += view.messages.page(bot, known, place, window)
    ends = [found[-1]] if len(found) == window else []
    if wanted.direction != "in":
        out = view.outbox.page(bot, known, place, window)
        found += out
        ends += [out[-1]] if len(out) == window else []
    found.sort(key=_order, reverse=True)
    horizon = max(map(_order, ends), default=None)  # beyond it one direction was not looked at
    kept, last = list[ListedMessage | OutgoingView](), None
    for one in found:
        if (horizon is not None and _order(one) < horizon) or len(kept) == limit:
            break
        if wanted.after is not None and _order(one)[0] <= wanted.after:
            return Page([_as_json(one) for one in kept], None)
        last = one
        if wanted.takes(one):
            kept.append(one)
    more = last is not None and (horizon is not None or last is not found[-1])
    return Page([_as_json(one) for one in kept], _cursor(last) if more and last is not None else None)


def _party(view: View, bot: BotId, chat: str) -> KnownParty:
    if chat.startswith("prs_"):
        by_id = view.persons.by_id(bot, chat)
        if by_id is None:
            return KnownParty(Party(""), ())
        chat = by_id.jid
    return view.persons.look_up(bot, Party(chat))


def _order(message: ListedMessage | OutgoingView) -> tuple[datetime, str]:
    return (message.created_at if isinstance(message, OutgoingView) else message.timestamp), message.id


def _as_json(message: ListedMessage | OutgoingView) -> dict[str, Any]:
    if isinstance(message, OutgoingView):
        return {
            "direction": "out",
            "timestamp": serializers.timestamp(message.created_at),
            "sent": serializers.outgoing_json(message),
            "received": None,
        }
    told = serializers.listed_json(message)
    return {"direction": "in", "timestamp": serializers.timestamp(message.timestamp), "sent": None, "received": told}


def _words(message: ListedMessage | OutgoingView) -> str:
    found = (getattr(message.content, name, None) for name in ("text", "caption", "question", "file_name", "name"))
    return "\n".join(one for one in found if isinstance(one, str))


def _cursor(message: ListedMessage | OutgoingView) -> str:
    moment, name = _order(message)
    return base64.urlsafe_b64encode(json.dumps([timestamps.to_ms(moment), name]).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> PagePlace:
    try:
        if len(text) > _LONGEST_CURSOR:
            raise ValueError(text[:1])
        moment, name = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if (
            isinstance(moment, int)
            and not isinstance(moment, bool)
            and isinstance(name, str)
            and name.isascii()
            and abs(moment) < 1 << 50
        ):
            return PagePlace(timestamps.from_ms(moment), name)
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidInput("not the `next` of an earlier page", field="before")
