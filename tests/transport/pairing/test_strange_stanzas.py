"""Whatever a server sends, an attempt ends in words or goes on; nothing else comes out of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zapwire.model.bots import BotId
from zapwire.model.errors import ZapwireError
from zapwire.model.pairing import PairingOptions
from zapwire.transport.whatsapp_web.auth.plain import PlainAuthFile
from zapwire.transport.whatsapp_web.pairing.own import codes
from zapwire.transport.whatsapp_web.pairing.own.client import OwnAttempt
from zapwire.transport.whatsapp_web.pairing.own.conversation import SERVER
from zapwire.transport.whatsapp_web.pairing.own.websocket import SocketClosed
from zapwire.wire.link_code import CompanionCode
from zapwire.wire.node import BadStanza, Node, WireJid

TAGS = (
    "pair-device", "ref", "pair-success", "device-identity", "device", "platform", "biz", "conflict", "error",
    "link_code_companion_reg", "link_code_pairing_ref", "link_code_pairing_wrapped_primary_ephemeral_pub",
    "primary_identity_pub", "passkey_request_options", "primary_ephemeral_identity", "downgrade_webclient", "x",
)  # fmt: skip
WORDS = (
    "", "401", "402", "405", "428", "515", "²", "99999999999999999999", "primary_hello", "refresh_code", "1:999@c",
    "link_code_companion_reg", "passkey_prologue_request", "crsc_continuation", "device_removed", "replaced",
)  # fmt: skip
VALUES = st.sampled_from([*WORDS, SERVER, WireJid("491", device=1), WireJid("x", "lid", 1)])
ATTRS = st.dictionaries(
    st.sampled_from(["id", "type", "from", "reason", "code", "expire", "stage", "jid", "lid", "name", "t"]), VALUES
)
CONTENT = (
    st.none() | st.binary(max_size=90) | st.sampled_from([b"ref", bytes(80), bytes(32), b'{"challenge": "eA"}', b"[[["])
)
PARTS = st.recursive(
    st.builds(Node, st.sampled_from(TAGS), ATTRS, CONTENT),
    lambda inner: st.builds(Node, st.sampled_from(TAGS), ATTRS, st.lists(inner, max_size=4)),
    max_leaves=8,
)
TOPS = st.sampled_from(["iq", "notification", "failure", "stream:error", "xmlstreamend", "ib", "success", "message"])
STANZAS = st.builds(Node, TOPS, ATTRS, st.lists(PARTS, max_size=3))
HALF = CompanionCode.generate()


class Talk:
    def __init__(self, answers: list[Node]) -> None:
        self._answers = answers

    async def ask(self, *_: Any, **__: Any) -> Node:
        return self._answers.pop() if self._answers else Node("iq")

    async def send(self, _node: Node) -> None:
        pass

    acknowledge = send


async def hear(stanzas: list[Node], answers: list[Node], folder: Path) -> None:
    attempt = OwnAttempt(None, PlainAuthFile(folder, BotId("bot")), None, PairingOptions())  # type: ignore[arg-type]
    talk: Any = Talk(answers)
    attempt._talk = talk
    attempt._typed = codes.TypedCode(HALF, WireJid("491"), b"ref")

    async def emit(_event: object) -> None:
        pass

    try:
        async with attempt._clock:
            for stanza in stanzas:
                await attempt._handle(talk, stanza, emit, 0)
    except (ZapwireError, SocketClosed, BadStanza):
        pass
    finally:
        await attempt._tasks.cancel()
        attempt._began.cancel()
        attempt._ended.cancel()


@settings(max_examples=300, deadline=None)
@given(st.lists(STANZAS, min_size=1, max_size=4), st.lists(STANZAS, max_size=3))
def test_no_stanza_breaks_an_attempt(stanzas: list[Node], answers: list[Node]) -> None:
    asyncio.run(hear(stanzas, answers, Path("/nowhere")))
