"""How a virtual phone sends messages: to every device of everybody concerned, and again when a device asks for it.

Protocol source: whatsmeow's send.go and retry.go.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from zapwire.sandbox.phones import content
from zapwire.sandbox.phones.content import E2EMessage
from zapwire.sandbox.phones.devices import Devices
from zapwire.sandbox.phones.errors import NotOnWhatsApp
from zapwire.sandbox.phones.line import Line
from zapwire.sandbox.server.handlers.devices import list_hash
from zapwire.sandbox.signal.ciphers import pad
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.wire.node import Attr, Node, WireJid

GROUP_SERVER: Final = "g.us"
KEPT_FOR_RETRY: Final = 1_000
MAX_RETRIES: Final = 5


def new_message_id() -> str:
    """An id as phones make them."""
    return "3A" + secrets.token_hex(9).upper()


class Sending:
    """One phone's outgoing messages. One at a time, so that they leave in the order in which they were asked for."""

    def __init__(self, line: Line, keys: KeyStore, devices: Devices) -> None:
        self._line = line
        self.keys = keys
        self._devices = devices
        self._turn = asyncio.Lock()
        self._kept: OrderedDict[str, tuple[WireJid, E2EMessage]] = OrderedDict()

    async def send(self, chat: WireJid, message: E2EMessage, message_id: str) -> None:
        """Send to an account or a group; returns when the server has it. Raises NotOnWhatsApp, ServerRefused."""
        async with self._turn:
            build = self._to_group if chat.server == GROUP_SERVER else self._to_account
            stanza = await build(chat, message, message_id)
            self.keep(chat, message, message_id)
            await self._line.send_message(stanza)

    def keep(self, chat: WireJid, message: E2EMessage, message_id: str) -> None:
        """Remember a message in case a device asks for it again."""
        self._kept[message_id] = (chat, message)
        while len(self._kept) > KEPT_FOR_RETRY:
            self._kept.popitem(last=False)

    async def send_to_companion(self, device: WireJid, message: E2EMessage, message_id: str) -> bool:
        """Send something between devices of this account only; False when the device has no keys yet."""
        async with self._turn:
            if not await self._devices.ready([device]):
                return False
            attrs: dict[str, Attr] = {"to": device, "id": message_id, "type": "text", "category": "peer"}
            self.keep(device, message, message_id)
            enc = self._encrypt(device, message.SerializeToString())
            await self._line.send_message(Node("message", attrs, [enc]))
        return True

    # ---- the two kinds of chats

    async def _to_account(self, chat: WireJid, message: E2EMessage, message_id: str) -> Node:
        peer = self._line.lid(chat.bare)
        account = self._line.network.account_of(peer)
        devices = await self._devices.ready(await self._devices.of([peer, self._devices.own]))
        if account is None or (account is not self._line.account and not any(d.bare == peer for d in devices)):
            raise NotOnWhatsApp(f"{chat.user} is not on WhatsApp, or none of its devices has published keys yet")
        plain = message.SerializeToString()
        for_own = content.sent_elsewhere(str(peer), message).SerializeToString()
        own = self._devices.own
        nodes = [self._to(device, for_own if device.bare == own else plain, message) for device in devices]
        attrs = {**_attrs(peer, message, message_id), "peer_recipient_pn": account.phone_jid}
        return Node("message", attrs, [Node("participants", content=nodes)])

    async def _to_group(self, chat: WireJid, message: E2EMessage, message_id: str) -> Node:
        devices = await self._devices.of(await self.members(chat))
        key = self.keys.own_sender_key(str(chat))
        if key.given_to - {str(device) for device in devices}:
            # Somebody who has the key is gone and must not read on.
            self.keys.renew_sender_key(str(chat))
            key = self.keys.own_sender_key(str(chat))
        new = await self._devices.ready(device for device in devices if str(device) not in key.given_to)
        key_message = self._key_message(chat).SerializeToString()
        nodes = [Node("to", {"jid": device}, [self._encrypt(device, key_message)]) for device in new]
        key.given_to |= {str(device) for device in new}
        enc = Node("enc", {"v": "2", "type": "skmsg"}, key.encrypt(pad(message.SerializeToString())))
        if kind := content.media_type(message):
            enc.attrs["mediatype"] = kind
        attrs = {**_attrs(chat, message, message_id), "addressing_mode": "lid", "phash": list_hash(devices)}
        return Node("message", attrs, [*([Node("participants", content=nodes)] if nodes else []), enc])

    async def members(self, group: WireJid) -> list[WireJid]:
        """The members of a group by LID; raises ServerRefused."""
        answer = await self._line.ask("w:g2", "get", Node("query", {"request": "interactive"}), to=group)
        found = answer.child("group") or Node("group")
        return [self._line.lid(member) for node in found.all("participant") if (member := node.jid("jid"))]

    def _key_message(self, group: WireJid) -> E2EMessage:
        message = Message()
        message.senderKeyDistributionMessage.groupID = str(group)
        distribution = self.keys.own_sender_key(str(group)).distribution
        message.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = distribution
        return message

    def _to(self, device: WireJid, plain: bytes, message: E2EMessage) -> Node:
        enc = self._encrypt(device, plain)
        if kind := content.media_type(message):
            enc.attrs["mediatype"] = kind
        if content.edit_attribute(message) or content.stanza_type(message) == "reaction":
            enc.attrs["decrypt-fail"] = "hide"
        return Node("to", {"jid": device}, [enc])

    def _encrypt(self, device: WireJid, plain: bytes) -> Node:
        kind, data = self.keys.encrypt(str(device), plain)
        return Node("enc", {"v": "2", "type": kind}, data)

    # ---- again

    async def retry(self, receipt: Node) -> bool:
        """Send a message again to the device that could not read it; False when that is not possible."""
        retry, sender = receipt.child("retry"), receipt.jid("participant") or receipt.jid("from")
        kept = self._kept.get(receipt.text("id"))
        if retry is None or sender is None or kept is None or int(retry.text("count", "1")) > MAX_RETRIES:
            return False
        async with self._turn:
            device = self._line.lid(sender)
            fresh = receipt.child("keys") is not None and self._devices.begin(device, receipt)
            # A device that cannot read us needs a new session, with its own keys or with those at the server.
            if not fresh and device not in await self._devices.ready([device], renew=True):
                return False
            await self._line.send(self._again(receipt, device, *kept, count=retry.text("count", "1")))
        return True

    def _again(self, receipt: Node, device: WireJid, chat: WireJid, message: E2EMessage, *, count: str) -> Node:
        again = Message()
        again.CopyFrom(message)
        attrs: dict[str, Attr] = {**_attrs(chat, message, receipt.text("id")), "to": receipt.attrs["from"]}
        if chat.server == GROUP_SERVER:
            again.MergeFrom(self._key_message(chat))
            self.keys.own_sender_key(str(chat)).given_to.add(str(device))
            attrs["participant"] = device
        else:
            attrs["device_fanout"] = "false"
            if device.bare == self._devices.own and chat.bare != self._devices.own:
                again = content.sent_elsewhere(str(chat), message)
        if "recipient" in receipt.attrs:
            attrs["recipient"] = receipt.attrs["recipient"]
        enc = self._encrypt(device, again.SerializeToString())
        enc.attrs["count"] = count
        return Node("message", attrs, [enc])

    # ---- state

    def to_json(self, count: int) -> list[tuple[str, str, str]]:
        """The last messages that may be asked for again: id, chat, content as base64."""
        last = islice(self._kept.items(), max(0, len(self._kept) - count), None)
        return [
            (number, str(chat), base64.b64encode(message.SerializeToString()).decode())
            for number, (chat, message) in last
        ]

    def load(self, saved: Iterable[tuple[str, str, str]]) -> None:
        """Read what `to_json` made."""
        for number, chat, message in saved:
            self.keep(WireJid.parse(chat), Message.FromString(base64.b64decode(message)), number)


def _attrs(to: WireJid, message: E2EMessage, message_id: str) -> dict[str, Attr]:
    attrs: dict[str, Attr] = {"to": to, "id": message_id, "type": content.stanza_type(message)}
    if edit := content.edit_attribute(message):
        attrs["edit"] = edit
    return attrs
