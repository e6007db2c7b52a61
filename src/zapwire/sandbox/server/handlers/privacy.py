"""Privacy settings, and the trusted-contact tokens that clients hand to those they write to."""

from __future__ import annotations

from typing import Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, notification, now
from zapwire.wire.node import Node

DEFAULTS: Final = {
    "last": "all",
    "online": "all",
    "profile": "all",
    "status": "all",
    "readreceipts": "all",
    "groupadd": "all",
    "calladd": "all",
    "messages": "all",
    "defense": "off",
    "stickers": "all",
}


async def _get(caller: Caller, _iq: Node) -> list[Node]:
    values = {**DEFAULTS, **caller.account.privacy}
    return [Node("privacy", {}, [Node("category", {"name": k, "value": v}) for k, v in values.items()])]


async def _set(caller: Caller, iq: Node) -> list[Node]:
    tokens, privacy = iq.child("tokens"), iq.child("privacy")
    if tokens is not None:
        return await _pass_tokens(caller, tokens)
    if privacy is None:
        raise QueryError(400, "bad-request")
    changed = {c.text("name"): c.text("value") for c in privacy.all("category")}
    if not changed.keys() <= DEFAULTS.keys():
        raise QueryError(400, "bad-request")
    caller.account.privacy.update(changed)
    caller.world.changed()
    await caller.post_to_account(caller.account, notification("account_sync", caller.account.lid_jid, [privacy]))
    return [privacy]


async def _pass_tokens(caller: Caller, tokens: Node) -> list[Node]:
    for token in tokens.all("token"):
        jid = token.jid("jid")
        peer = caller.world.account_of(jid) if jid else None
        if peer is None:
            continue
        content = Node("token", {"type": "trusted_contact", "t": token.text("t", now())}, _token(caller))
        stanza = notification(
            "privacy_token",
            caller.account.phone_jid,
            [Node("tokens", {}, [content])],
            sender_lid=caller.account.lid_jid,
        )
        await caller.post_to_account(peer, stanza)
    return []


def _token(caller: Caller) -> bytes:
    # What it contains is known to the server only; a client gives it back as it is.
    return b"sandbox-token-" + caller.account.lid.encode()


QUERIES = {"privacy get": _get, "privacy set": _set}
