"""What the server says in many places: errors of queries, notifications, marks."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Final

from zapwire.wire.node import Attr, Node, WireJid

SERVER: Final = WireJid("", "s.whatsapp.net")


class QueryError(Exception):
    """An iq that cannot be answered; becomes `<error code text>`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Unhandled(QueryError):
    """Nothing in the sandbox understands this query; it is counted."""

    def __init__(self) -> None:
        super().__init__(501, "feature-not-implemented")


def now() -> str:
    """The time as stanzas tell it: seconds, as text."""
    return str(int(time.time()))


def new_id() -> str:
    """An id for a stanza of the server's own."""
    return secrets.token_hex(8).upper()


def ib(child: Node) -> Node:
    """A piece of information from the server that wants no answer."""
    return Node("ib", {"from": SERVER}, [child])


def notification(kind: str, source: WireJid, children: Sequence[Node], **attrs: Attr) -> Node:
    """A notification from the server; the device acknowledges it."""
    return Node("notification", {"from": source, "type": kind, "id": new_id(), "t": now(), **attrs}, list(children))
