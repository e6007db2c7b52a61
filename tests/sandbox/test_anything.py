"""Whatever a client sends: no exception, and an answer to every iq."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.recording import PEOPLE, Town
from zapwire.sandbox.server.handlers.queries import _QUERIES
from zapwire.sandbox.server.handlers.stanzas import _HANDLERS
from zapwire.wire.node import Node, WireJid

WORDS = st.sampled_from(
    [
        "iq",
        "usync",
        "query",
        "list",
        "user",
        "devices",
        "contact",
        "key",
        "count",
        "picture",
        "privacy",
        "tokens",
        "token",
        "item",
        "collection",
        "sync",
        "patch",
        "create",
        "add",
        "remove",
        "promote",
        "leave",
        "group",
        "participant",
        "subject",
        "description",
        "invite",
        "body",
        "remove-companion-device",
        "enc",
        "participants",
        "to",
        "retry",
        "composing",
        "active",
        "media_conn",
        "status",
    ]
)
ADDRESSES = st.sampled_from(
    [
        *(WireJid(number) for number in PEOPLE.values()),
        WireJid("1", "g.us"),
        WireJid("x", "lid", 3),
        "bad:device@lid",
        "@",
        "",
    ]
)
VALUES = st.one_of(st.text(max_size=8), ADDRESSES)
NAMES = st.sampled_from(["jid", "id", "type", "to", "code", "version", "name", "participant", "expiration", "action"])
ATTRS = st.dictionaries(NAMES, VALUES, max_size=4)
PARTS = st.recursive(
    st.builds(Node, WORDS, ATTRS, st.one_of(st.none(), st.binary(max_size=40))),
    lambda parts: st.builds(Node, WORDS, ATTRS, st.lists(parts, max_size=3)),
    max_leaves=8,
)


async def deliver(stanza: Node) -> list[Node]:
    async with Town() as town:
        alice = town.companion("alice")
        await alice.send(stanza)
        await town.settle()
        return alice.got


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(_QUERIES)), ADDRESSES, st.lists(PARTS, max_size=3))
def test_every_query_is_answered(query: str, to: WireJid | str, parts: list[Node]) -> None:
    namespace, _, kind = query.partition(" ")
    iq = Node("iq", {"id": "q", "xmlns": namespace, "type": kind, "to": to}, parts)
    answers = [n for n in asyncio.run(deliver(iq)) if n.tag == "iq" and n.text("id") == "q"]
    assert [a.text("type") in {"result", "error"} for a in answers] == [True]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(_HANDLERS)), ATTRS, st.lists(PARTS, max_size=3))
def test_no_stanza_is_too_strange(tag: str, attrs: dict[str, WireJid | str], parts: list[Node]) -> None:
    asyncio.run(deliver(Node(tag, attrs, parts)))
