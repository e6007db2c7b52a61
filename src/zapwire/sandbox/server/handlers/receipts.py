"""Receipts: delivered, read, played, retry. Acknowledged to their sender and passed on to the message's.

Source: whatsmeow's receipt.go and retry.go.
"""

from __future__ import annotations

from typing import Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import now
from zapwire.sandbox.server.state.accounts import Account
from zapwire.wire.node import Attr, Node, WireJid

GROUP_SERVER: Final = "g.us"
OWN: Final = frozenset({"read-self", "played-self"})
KEPT_BY_SERVER: Final = frozenset({"sender", "hist_sync", "server-error", "peer_msg"})
"""Receipts among an account's own devices, which nobody waits for."""
SHOWN_TO_OWN: Final = {"read": "read-self", "played": "played-self"}


async def handle(caller: Caller, receipt: Node) -> None:
    """Acknowledge a receipt, and pass it on to the device or account whose message it is about."""
    kind, to = receipt.text("type"), receipt.jid("to")
    attrs: dict[str, Attr] = {"class": "receipt", "id": receipt.text("id"), "t": now(), "type": kind}
    attrs["from"] = receipt.attrs.get("to", "")
    attrs["participant"] = receipt.attrs.get("participant", "")
    if to is None:
        await caller.answer(Node("ack", {**attrs, "error": "406"}))
        return
    await caller.answer(Node("ack", attrs))
    if kind == "retry":
        await _retry(caller, receipt, to)
    elif kind not in KEPT_BY_SERVER:
        await _tell_sender(caller, receipt, to, kind)
        await _tell_own(caller, receipt, to, kind)


def _about(receipt: Node, to: WireJid) -> WireJid | None:
    """Who sent the message that the receipt is about: in a group the participant, else the one it goes to."""
    return receipt.jid("participant") or (None if to.server in {GROUP_SERVER, "broadcast"} else to)


async def _retry(caller: Caller, receipt: Node, to: WireJid) -> None:
    """A device could not decrypt: the very device that sent the message has to encrypt it again."""
    sender = _about(receipt, to)
    account = caller.world.account_of(sender) if sender else None
    device = account.devices.get(sender.device) if account and sender else None
    if device is not None:
        stanza = _passed_on(caller, receipt, to, "retry")
        stanza.attrs["recipient"] = receipt.attrs.get("recipient", "")
        await caller.world.post(device, stanza)


async def _tell_sender(caller: Caller, receipt: Node, to: WireJid, kind: str) -> None:
    sender = _about(receipt, to)
    account = caller.world.account_of(sender) if sender else None
    if account is None or kind in OWN or account is caller.account:
        return
    if kind == "read" and caller.account.privacy.get("readreceipts") == "none":
        return
    for device in list(account.devices.values()):
        await caller.world.post(device, _passed_on(caller, receipt, to, kind))


async def _tell_own(caller: Caller, receipt: Node, to: WireJid, kind: str) -> None:
    """What is read on one device is read on the account's others, too."""
    own = kind if kind in OWN else SHOWN_TO_OWN.get(kind)
    if own is None:
        return
    peer = caller.world.account_of(to)
    for device in list(caller.account.devices.values()):
        if device is not caller.device:
            await caller.world.post(device, _own(caller, receipt, to, own, peer))


def _own(caller: Caller, receipt: Node, to: WireJid, kind: str, peer: Account | None) -> Node:
    stanza = _passed_on(caller, receipt, to, kind)
    if peer is not None:
        stanza.attrs["recipient"] = peer.lid_jid
    return stanza


def _passed_on(caller: Caller, receipt: Node, to: WireJid, kind: str) -> Node:
    attrs: dict[str, Attr] = {"id": receipt.text("id"), "type": kind, "t": now()}
    if to.server in {GROUP_SERVER, "broadcast"}:
        attrs["from"], attrs["participant"] = to, caller.jid
        attrs["participant_pn"] = caller.account.phone_jid
    else:
        attrs["from"], attrs["sender_pn"] = caller.jid, caller.account.phone_jid
    return Node("receipt", attrs, receipt.content)
