"""How a virtual phone reads what comes in: decrypts, answers with receipts, asks again for what it cannot read.

Protocol source: whatsmeow's message.go, retry.go and receipt.go.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from google.protobuf.message import DecodeError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from zapwire.sandbox.phones import content, polls
from zapwire.sandbox.phones.content import E2EMessage
from zapwire.sandbox.phones.inbox import Inbox
from zapwire.sandbox.phones.keys import retry_nodes
from zapwire.sandbox.phones.line import Line
from zapwire.sandbox.phones.sending import GROUP_SERVER, KEPT_FOR_RETRY, MAX_RETRIES
from zapwire.sandbox.signal.errors import DecryptFailed, DuplicateMessage, SignalError
from zapwire.sandbox.signal.framing import PreKeyMessage
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.wire import adv
from zapwire.wire.node import Attr, Node, WireJid

OnOwnMessage: TypeAlias = Callable[[WireJid, E2EMessage], Coroutine[Any, Any, None]]
"""Called with the companion and the message that it sent to its own phone (key requests and the like)."""

READ_KEPT: Final = 5_000
"""Ids of messages that were read, to tell what comes twice from what only looks so."""
RECEIPT_NAMES: Final = {"": "delivered", "inactive": "delivered"}

log = logging.getLogger(__name__)


class Receiving:
    """One phone's incoming stanzas, one after the other."""

    def __init__(self, line: Line, keys: KeyStore, inbox: Inbox, on_own: OnOwnMessage) -> None:
        self._line = line
        self._keys = keys
        self._inbox = inbox
        self._on_own = on_own
        self._retries: Counter[str] = Counter()
        self._read: dict[str, None] = {}

    async def message(self, node: Node) -> None:
        """Decrypt a `<message>`, put it into the inbox, and send the delivery receipt or a retry receipt."""
        sender = node.jid("participant") or node.jid("from")
        if sender is None:
            await self._line.acknowledge(node)
            return
        try:
            for enc in node.all("enc"):
                await self._enc(node, self._line.lid(sender), enc)
        except DuplicateMessage as error:
            if not self._knows(node):
                # whatsmeow sometimes uses a position of its chain twice when it sends and receives at once.
                log.info("a new message under a key that was used up: %s", error)
                await self._ask_again(node)
                return
        except (SignalError, DecodeError) as error:
            log.debug("a message cannot be read: %s", error)
            await self._ask_again(node)
            return
        self._retries.pop(node.text("id"), None)
        self._read[node.text("id")] = None
        while len(self._read) > READ_KEPT:
            del self._read[next(iter(self._read))]
        await self._line.send(Node("receipt", self._receipt_attrs(node, sender)))

    def _knows(self, node: Node) -> bool:
        """Was a message of this id read before, by this phone or (after a restart) by its earlier life?"""
        return node.text("id") in self._read or self._inbox.find(node.text("id")) is not None

    async def _enc(self, node: Node, sender: WireJid, enc: Node) -> None:
        kind = enc.text("type")
        if kind == "skmsg":
            plain = self._keys.decrypt_group(node.text("from"), str(sender), enc.data)
        else:
            if kind == "pkmsg" and sender.device:
                self._check_companion(node, sender, PreKeyMessage.parse(enc.data).identity)
            plain = self._keys.decrypt(str(sender), kind, enc.data)
        message = Message.FromString(plain)
        if message.HasField("senderKeyDistributionMessage"):
            key = message.senderKeyDistributionMessage
            self._keys.learn_sender_key(key.groupID, str(sender), key.axolotlSenderKeyDistributionMessage)
        await self._accept(node, sender, message)

    def _check_companion(self, node: Node, sender: WireJid, identity: bytes) -> None:
        """A companion that opens a session has to show that its account's phone vouches for it, as for a real phone."""
        account = self._line.network.account_of(sender)
        phone = account.devices[0].keys if account else None
        shown = node.child("device-identity")
        if phone is None:
            return
        if shown is None or not adv.verify_companion(shown.data, identity, phone.identity):
            message = "the message has no valid <device-identity>, which a companion's first messages need"
            raise DecryptFailed(message)

    async def _accept(self, node: Node, sender: WireJid, message: E2EMessage) -> None:
        own = sender.bare == self._line.account.lid_jid
        if own and node.text("category") == "peer":
            await self._on_own(sender, message)
            return
        if message.HasField("deviceSentMessage"):
            message = message.deviceSentMessage.message
        described = content.describe(message)
        if described["type"] == "empty":
            return
        chat = node.jid("from") or sender
        if own and chat.server != GROUP_SERVER:
            chat = node.jid("recipient") or chat
        data = {
            "id": node.text("id"),
            "chat": self._line.number(chat),
            "from": self._line.number(sender),
            "from_lid": str(sender),
            "from_me": own,
            "name": node.text("notify"),
            "timestamp": int(node.text("t", "0")),
            "read": own,
            **described,
        }
        if described["type"] == "vote":
            data["options"] = self._chosen(described["target"], sender, message)
        self._inbox.add("message", data, message.SerializeToString())

    def _chosen(self, poll_id: str, voter: WireJid, message: E2EMessage) -> list[str] | None:
        """What a vote is for; None when the poll is not known here."""
        entry = self._inbox.find(poll_id)
        if entry is None:
            return None
        own = str(self._line.account.lid_jid)
        author = own if entry.kind == "sent" else str(WireJid.parse(entry.data["from_lid"]).bare)
        asked = content.unwrap(Message.FromString(entry.raw))
        return polls.chosen(asked, polls.Poll(poll_id, "", author), str(self._line.lid(voter).bare), message)

    def _receipt_attrs(self, node: Node, sender: WireJid) -> dict[str, Attr]:
        attrs: dict[str, Attr] = {"id": node.attrs["id"], "to": node.attrs["from"]}
        attrs |= {name: node.attrs[name] for name in ("participant", "recipient") if name in node.attrs}
        if self._line.lid(sender).bare == self._line.account.lid_jid:
            attrs["type"] = "peer_msg" if node.text("category") == "peer" else "sender"
        return attrs

    async def _ask_again(self, node: Node) -> None:
        number = node.text("id")
        self._retries[number] += 1
        count = max([self._retries[number], *(int(enc.text("count", "0")) + 1 for enc in node.all("enc"))])
        self._retries[number] = count
        while len(self._retries) > KEPT_FOR_RETRY:
            del self._retries[next(iter(self._retries))]
        if count > MAX_RETRIES:
            data = {
                "id": number,
                "from": self._line.number(node.jid("participant") or WireJid.parse(node.text("from"))),
            }
            self._inbox.add("unreadable", data)
            await self._line.acknowledge(node)
            return
        attrs = self._receipt_attrs(node, node.jid("participant") or WireJid.parse(node.text("from")))
        retry = Node("retry", {"count": str(count), "id": number, "t": node.text("t"), "v": "1"})
        await self._line.send(Node("receipt", {**attrs, "type": "retry"}, [retry, *retry_nodes(self._keys)]))
        await self._line.acknowledge(node)

    async def ask_for(self, number: str) -> bool:
        """Ask for a message once more, as if it could not be read; False when there is none of that id."""
        entry = self._inbox.find(number)
        if entry is None or entry.kind != "message":
            return False
        sender = entry.data["from_lid"]
        await self._ask_again(
            Node("message", {"id": number, "from": WireJid.parse(sender), "t": str(entry.data["timestamp"])})
        )
        return True

    async def receipt(self, node: Node) -> None:
        """Note that somebody got, read or played what we sent."""
        sender = node.jid("participant") or node.jid("from")
        items = node.child("list") or Node("list")
        kind = node.text("type")
        if sender is not None and self._line.lid(sender).bare != self._line.account.lid_jid:
            data = {
                "receipt": RECEIPT_NAMES.get(kind, kind),
                "ids": [node.text("id"), *(item.text("id") for item in items.all("item"))],
                "chat": self._line.number(node.jid("from") or sender),
                "from": self._line.number(sender),
                "from_device": sender.device,
                "timestamp": int(node.text("t", "0")),
            }
            self._inbox.add("receipt", data)
        await self._line.acknowledge(node)

    async def chat_state(self, node: Node) -> None:
        """Note that somebody types, records or stopped."""
        sender = node.jid("participant") or node.jid("from")
        if sender is None or not node.children:
            return
        state = node.children[0]
        name = "recording" if state.text("media") == "audio" else state.tag
        chat = node.jid("from") or sender
        self._inbox.add("typing", {"chat": self._line.number(chat), "from": self._line.number(sender), "state": name})

    async def presence(self, node: Node) -> None:
        """Note that somebody came or went."""
        sender = node.jid("from")
        if sender is not None:
            data = {"from": self._line.number(sender), "state": node.text("type", "available")}
            self._inbox.add("presence", data)

    async def notification(self, node: Node) -> None:
        """Note what happened to a group; acknowledge everything else."""
        chat = node.jid("from")
        if node.text("type") == "w:gp2" and chat is not None:
            for change in node.children:
                names = [self._line.number(jid) for p in change.all("participant") if (jid := p.jid("jid"))]
                data: dict[str, Any] = {"chat": str(chat), "change": change.tag, "members": names}
                if change.text("subject"):
                    data["subject"] = change.text("subject")
                self._inbox.add("group", data)
        await self._line.acknowledge(node)
