"""Messages: from one device to every device that is to have them.

Source: whatsmeow's send.go and message.go. A message to a person carries one ciphertext per device; one to a group
carries one for all (`skmsg`) and, for devices that lack the sender's key, one each. Delivered messages are addressed by
LID and carry the phone number beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.handlers.devices import device_jids, list_hash
from zapwire.sandbox.server.replies import now
from zapwire.sandbox.server.state.channels import CHANNEL_SERVER, Channel, Post
from zapwire.wire.node import Attr, Node, WireJid

if TYPE_CHECKING:
    from zapwire.sandbox.server.state.accounts import Account, AccountDevice
    from zapwire.sandbox.server.state.groups import Group

GROUP_SERVER: Final = "g.us"
STATUS: Final = WireJid("status", "broadcast")
NOT_FOUND: Final = "404"
FORBIDDEN: Final = "403"
NOT_ACCEPTABLE: Final = "406"
_KEPT: Final = frozenset({"meta", "biz", "multicast", "bot", "url_text", "url_number"})
"""Parts of a message that its recipients get; tokens and reports are for the server."""


async def handle(caller: Caller, message: Node) -> None:
    """Acknowledge a message to its sender, and deliver it."""
    to = message.jid("to")
    # What devices of one account tell each other keeps working, whatever their messages to others get.
    peer = caller.world.account_of(to) if to is not None else None
    faults, own = caller.world.faults, caller.account.phone
    inner = message.text("category") == "peer"
    if own in faults.unacknowledged and not inner:
        return
    refused = "" if inner else faults.message_error(own, peer.phone if peer else "")
    if peer is not None and not refused:
        faults.wrote(own, peer.phone)
    if refused:
        await _acknowledge(caller, message, error=refused)
    elif to is None:
        await _acknowledge(caller, message, error=NOT_ACCEPTABLE)
    elif to.server == GROUP_SERVER:
        await _to_group(caller, message, to)
    elif to.server == CHANNEL_SERVER:
        await _to_channel(caller, message, to)
    elif to == STATUS:
        await _to_status(caller, message)
    else:
        await _to_person(caller, message, to)


async def _acknowledge(caller: Caller, message: Node, *, error: str = "", phash: str = "") -> None:
    attrs: dict[str, Attr] = {
        "class": "message",
        "id": message.text("id"),
        "from": message.attrs.get("to", ""),
        "t": now(),
        "error": error,
        "phash": phash,
        "participant": message.attrs.get("participant", ""),
    }
    await caller.answer(Node("ack", attrs))


# ---- to a person


async def _to_person(caller: Caller, message: Node, to: WireJid) -> None:
    peer = caller.world.account_of(to)
    if peer is None:
        await _acknowledge(caller, message, error=NOT_FOUND)
        return
    direct = list(message.all("enc"))
    if direct:
        # To one device: a peer message between own devices, or a second try after a retry receipt.
        await _acknowledge(caller, message)
        await _deliver(caller, message, peer, peer.devices.get(to.device), direct)
        return
    sent = dict(_ciphertexts(caller, message))
    wanted = {*device_jids(peer), *device_jids(caller.account)}
    complete = wanted == {*sent, caller.jid}
    await _acknowledge(caller, message, phash="" if complete else list_hash(wanted))
    for jid, encrypted in sent.items():
        account = caller.world.account_of(jid)
        if account is not None and account.lid in {peer.lid, caller.account.lid}:
            await _deliver(caller, message, peer, account.devices.get(jid.device), encrypted, owner=account)


def _ciphertexts(caller: Caller, message: Node) -> Iterator[tuple[WireJid, list[Node]]]:
    """The `<participants>` of a message, by LID address."""
    participants = message.child("participants")
    for to in participants.all("to") if participants else ():
        jid = to.jid("jid")
        account = caller.world.account_of(jid) if jid else None
        if jid is not None and account is not None:
            yield account.lid_jid.with_device(jid.device), list(to.all("enc"))


async def _deliver(
    caller: Caller,
    message: Node,
    peer: Account,
    device: AccountDevice | None,
    encrypted: list[Node],
    *,
    owner: Account | None = None,
) -> None:
    owner = owner or peer
    if device is None or device is caller.device or owner.blocks(caller.account):
        return
    attrs = _base(caller, message)
    attrs["addressing_mode"] = "lid"
    if owner is caller.account:
        attrs["recipient"], attrs["peer_recipient_pn"] = _recipient(caller, message, peer)
    else:
        attrs["sender_pn"] = caller.account.phone_jid
    await caller.world.post(device, Node("message", attrs, _body(message, encrypted)))


def _recipient(caller: Caller, message: Node, peer: Account) -> tuple[Attr, Attr]:
    """The chat of a message that one's own device sent, by LID and by phone number."""
    told = message.jid("recipient")
    chat = caller.world.account_of(told) if told else peer
    if message.text("category") == "peer" or chat is None:
        return "", ""
    return chat.lid_jid, chat.phone_jid


def _base(caller: Caller, message: Node) -> dict[str, Attr]:
    attrs: dict[str, Attr] = {
        "from": caller.jid,
        "id": message.text("id"),
        "t": now(),
        "type": message.text("type", "text"),
        "notify": caller.account.push_name,
    }
    for name in ("edit", "category", "phash"):
        attrs[name] = message.attrs.get(name, "")
    return attrs


def _body(message: Node, encrypted: list[Node]) -> list[Node]:
    kept = [part for part in message.children if part.tag in _KEPT]
    identity = message.child("device-identity")
    if identity is not None and any(enc.text("type") == "pkmsg" for enc in encrypted):
        kept.append(identity)
    return [*encrypted, *kept]


# ---- to a group


async def _to_group(caller: Caller, message: Node, to: WireJid) -> None:
    group = caller.world.groups.get(to)
    error = NOT_FOUND if group is None else _forbidden(caller, group)
    if group is None or error:
        await _acknowledge(caller, message, error=error)
        return
    participant = message.jid("participant")
    if participant is not None:
        await _acknowledge(caller, message)
        await _again_to_group(caller, message, group, participant)
        return
    wanted = [jid for account in _members(caller, group) for jid in device_jids(account)]
    claimed = message.text("phash")
    await _acknowledge(caller, message, phash=list_hash(wanted) if claimed and claimed != list_hash(wanted) else "")
    await _fan_out(caller, message, group.jid, _members(caller, group))


def _forbidden(caller: Caller, group: Group) -> str:
    role = group.members.get(caller.account.lid)
    return FORBIDDEN if role is None or (group.announce and not role) else ""


def _members(caller: Caller, group: Group) -> list[Account]:
    found = [caller.world.directory.by_lid(lid) for lid in group.members]
    return [account for account in found if account]


async def _fan_out(caller: Caller, message: Node, chat: WireJid, accounts: list[Account]) -> None:
    own_keys = dict(_ciphertexts(caller, message))
    shared = list(message.all("enc"))
    for account in accounts:
        if account.blocks(caller.account):
            continue
        for device in list(account.devices.values()):
            # The sender's key comes first, so that it is known when the shared ciphertext is read.
            encrypted = [*own_keys.get(account.lid_jid.with_device(device.number), []), *shared]
            if device is not caller.device and encrypted:
                await caller.world.post(device, _group_message(caller, message, chat, encrypted))


async def _again_to_group(caller: Caller, message: Node, group: Group, participant: WireJid) -> None:
    account = caller.world.account_of(participant)
    device = account.devices.get(participant.device) if account and account.lid in group.members else None
    if device is not None:
        encrypted = list(message.all("enc")) or dict(_ciphertexts(caller, message)).get(participant, [])
        await caller.world.post(device, _group_message(caller, message, group.jid, encrypted))


def _group_message(caller: Caller, message: Node, chat: WireJid, encrypted: list[Node]) -> Node:
    attrs = _base(caller, message)
    attrs["from"], attrs["participant"] = chat, caller.jid
    attrs["participant_pn"], attrs["addressing_mode"] = caller.account.phone_jid, "lid"
    return Node("message", attrs, _body(message, encrypted))


async def _to_channel(caller: Caller, message: Node, to: WireJid) -> None:
    """A post in a channel is not encrypted; who may not post is refused."""
    channel, plain = caller.world.channels.get(to), message.child("plaintext")
    if channel is None:
        await _acknowledge(caller, message, error=NOT_FOUND)
    elif caller.account.lid not in channel.owners:
        await _acknowledge(caller, message, error=FORBIDDEN)
    elif plain is None or not isinstance(plain.content, bytes):
        await _acknowledge(caller, message, error=NOT_ACCEPTABLE)
    else:
        post = channel.post(message.text("id"), plain.content, message.text("edit"))
        await _acknowledge(caller, message)
        for device in list(caller.account.devices.values()):
            if device is not caller.device:
                await caller.world.post(device, channel_post(channel, post))


def channel_post(channel: Channel, post: Post) -> Node:
    """A post as a device of a follower gets it."""
    attrs: dict[str, Attr] = {
        "from": channel.jid, "id": post.id, "server_id": str(post.number), "t": now(), "type": "text",
    }  # fmt: skip
    if post.edit:
        attrs["edit"] = post.edit
    return Node("message", attrs, [Node("plaintext", {}, post.protobuf)])


async def _to_status(caller: Caller, message: Node) -> None:
    """A status post goes to whoever its sender encrypted the sender key for, and to the sender's own devices."""
    await _acknowledge(caller, message)
    lids = {jid.user for jid, _ in _ciphertexts(caller, message)} | {caller.account.lid}
    found = [caller.world.directory.by_lid(lid) for lid in sorted(lids)]
    await _fan_out(caller, message, STATUS, [account for account in found if account])
