"""usync: who is on WhatsApp, under which LID, with which devices, status and picture.

Source: whatsmeow's user.go and Baileys' WAUSync/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, now
from zapwire.sandbox.server.state.accounts import LID_SERVER, Account
from zapwire.wire.node import Node, WireJid


async def _get(caller: Caller, iq: Node) -> list[Node]:
    usync, asked, users = iq.child("usync"), iq.child("usync", "query"), iq.child("usync", "list")
    if usync is None or asked is None or users is None:
        raise QueryError(400, "bad-request")
    answers = [_user(caller, user, asked) for user in users.all("user")]
    results = [Node(protocol.tag, {"refresh": "86400"}) for protocol in asked.children]
    attrs = {name: usync.text(name) for name in ("sid", "mode", "index", "last", "context")}
    return [Node("usync", {**attrs}, [Node("result", {}, results), Node("list", {}, [a for a in answers if a])])]


def _user(caller: Caller, user: Node, asked: Node) -> Node | None:
    contact, lid = user.child("contact"), user.child("lid")
    phone = contact.data.decode(errors="replace") if contact else ""
    jid = user.jid("jid") or (lid.jid("jid") if lid else None) or _contact_jid(phone)
    if jid is None:
        return None
    account = caller.world.account_of(jid)
    if account is None and phone:
        account = caller.world.directory.by_number(jid.user)
    parts = [_PROTOCOLS[p.tag](account, p, phone) for p in asked.children if p.tag in _PROTOCOLS]
    if jid.server == LID_SERVER:
        # Who asks by LID has it; Baileys would take the answer for a LID whose phone number is that LID.
        parts = [part for part in parts if part is not None and part.tag != "lid"]
    attrs = {"jid": jid.bare}
    if account is not None:
        if asked.child("devices") is not None:
            account.seen_by.add(caller.account.lid)
        by_lid = asked.child("contact")
        if phone:
            wants_lid = by_lid is not None and by_lid.text("addressing_mode") == "lid"
            attrs = {"jid": account.lid_jid if wants_lid else account.phone_jid, "pn_jid": account.phone_jid}
    return Node("user", {**attrs}, [part for part in parts if part is not None])


def _contact_jid(text: str) -> WireJid | None:
    digits = text.partition("@")[0].removeprefix("+")
    return WireJid(digits) if digits.isdecimal() else None


def _contact(account: Account | None, _asked: Node, phone: str) -> Node:
    return Node("contact", {"type": "in" if account else "out"}, phone.encode() or None)


def _devices(account: Account | None, _asked: Node, _phone: str) -> Node:
    listed = [_device(d.number, d.key_index) for d in account.devices.values()] if account else []
    parts = [Node("device-list", {}, listed)]
    if account is not None and account.key_indexes:
        parts.append(Node("key-index-list", {"ts": str(account.key_indexes_time)}, account.key_indexes))
    return Node("devices", {}, parts)


def _device(number: int, key_index: int) -> Node:
    attrs = {"id": str(number)}
    return Node("device", {**attrs, "key-index": str(key_index)} if number else {**attrs})


def _lid(account: Account | None, _asked: Node, _phone: str) -> Node | None:
    return Node("lid", {"val": account.lid_jid}) if account else None


def _status(account: Account | None, _asked: Node, _phone: str) -> Node | None:
    if account is None or not account.about:
        return None
    return Node("status", {"t": str(account.about_time)}, account.about.encode())


def _picture(account: Account | None, _asked: Node, _phone: str) -> Node | None:
    return Node("picture", {"id": account.picture.number}) if account and account.picture else None


def _disappearing(account: Account | None, _asked: Node, _phone: str) -> Node | None:
    return Node("disappearing_mode", {"duration": "0", "t": now()}) if account else None


def _without(_account: Account | None, _asked: Node, _phone: str) -> None:
    """The sandbox has no businesses, user names or bots."""


_PROTOCOLS: Final[dict[str, Callable[[Account | None, Node, str], Node | None]]] = {
    "contact": _contact,
    "devices": _devices,
    "lid": _lid,
    "status": _status,
    "picture": _picture,
    "disappearing_mode": _disappearing,
    "business": _without,
    "username": _without,
    "bot": _without,
}

QUERIES = {"usync get": _get}
