"""A virtual phone: device 0 of an account, which does what a person does with a phone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final

from zapwire.sandbox.phones.app_state import AppStateKey
from zapwire.sandbox.phones.authenticator import Authenticator
from zapwire.sandbox.phones.compose import Composer, PhoneMessage
from zapwire.sandbox.phones.devices import Devices
from zapwire.sandbox.phones.errors import NotOnWhatsApp, PhoneError, UnknownPhone
from zapwire.sandbox.phones.files import Files
from zapwire.sandbox.phones.groups import GroupActions
from zapwire.sandbox.phones.inbox import Inbox, InboxEntry
from zapwire.sandbox.phones.keys import upload_nodes
from zapwire.sandbox.phones.line import PHONE, Line
from zapwire.sandbox.phones.pairing import LINK_CODE, Pairing, new_raw_id
from zapwire.sandbox.phones.receiving import Receiving
from zapwire.sandbox.phones.sending import GROUP_SERVER, Sending, new_message_id
from zapwire.sandbox.server.state.accounts import Account, digits_of
from zapwire.sandbox.server.world import World
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.wire.node import Node, WireJid

QUEUE: Final = 10_000
"""Stanzas that may wait to be read by one phone; whoever sends more waits."""

TYPING: Final = {"composing": {}, "recording": {"media": "audio"}, "paused": {}}

log = logging.getLogger(__name__)


class Phone:
    """One virtual phone. `start` puts it online, `aclose` ends it; what it did is in `inbox`."""

    def __init__(self, world: World, account: Account, keys: KeyStore, *, app_state: AppStateKey, raw_id: int) -> None:
        self.world = world
        self.account = account
        self.keys = keys
        self.inbox = Inbox()
        self._line = Line(world, account)
        self._devices = Devices(self._line, keys)
        self.sending = Sending(self._line, keys, self._devices)
        self.pairing = Pairing(world, self._line, self.sending, app_state=app_state, raw_id=raw_id)
        self.authenticator: Authenticator | None = None
        """The account's passkey, once there is one."""
        self.groups = GroupActions(self._line)
        self.files = Files(world)
        self._composer = Composer(self._line, self.inbox)
        self._receiving = Receiving(self._line, keys, self.inbox, self.pairing.asked_by_companion)
        self._queue: asyncio.Queue[Node] = asyncio.Queue(QUEUE)
        self._task: asyncio.Task[None] | None = None
        self._available = False
        self._taken = 0

    @classmethod
    def new(cls, world: World, account: Account) -> Phone:
        """A phone with fresh keys."""
        return cls(world, account, KeyStore.generate(), app_state=AppStateKey(), raw_id=new_raw_id())

    async def start(self) -> None:
        """Go online, and publish the keys if that was not done before."""
        self._task = asyncio.create_task(self._read(), name=f"phone {self.account.lid}")
        self.world.attach(self.account, PHONE, self)
        if self.account.devices[PHONE].keys is None:
            await self.upload_prekeys()
        if len(self.account.devices) > 1 and not self.account.key_indexes:  # paired by a version that signed none
            self.pairing.publish_key_indexes()

    async def aclose(self) -> None:
        """Go offline; what has arrived is read first."""
        await self.pairing.aclose()
        self.world.detach(self.account, PHONE, self)
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._queue.join()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def have_passkey(self, authenticator: Authenticator | None) -> None:
        """Create the account's passkey, or delete it (None)."""
        self.authenticator = authenticator
        self.account.passkey = None if authenticator is None else authenticator.public
        self._taken += 1
        self.world.changed()

    async def upload_prekeys(self) -> None:
        """Publish new one-time prekeys with the identity and the signed prekey."""
        await self._line.ask("encrypt", "set", *upload_nodes(self.keys))

    @property
    def closed(self) -> bool:
        """Is it offline, so that nothing more can change?"""
        return self._task is None

    @property
    def version(self) -> tuple[int, int, bool]:
        """Changes with everything that is worth saving."""
        return self._line.sent + self._taken, self.inbox.last, self.closed

    # ---- stanzas from the server

    async def deliver(self, node: Node) -> None:
        """Take a stanza: answers at once, everything else in its turn."""
        if not self._line.take(node):
            await self._queue.put(node)

    async def _read(self) -> None:
        handlers: dict[str, Callable[[Node], Awaitable[None]]] = {
            "message": self._receiving.message,
            "receipt": self._receipt,
            "notification": self._notification,
            "chatstate": self._receiving.chat_state,
            "presence": self._receiving.presence,
            "call": self._line.acknowledge,
        }
        while True:
            node = await self._queue.get()
            try:
                handler = handlers.get(node.tag)
                if handler is not None:
                    await handler(node)
            except Exception:  # one bad stanza must not end the phone
                log.exception("a virtual phone could not handle a <%s>", node.tag)
            finally:
                self._taken += 1
                self._queue.task_done()
                self.world.changed()

    async def _receipt(self, node: Node) -> None:
        if node.text("type") == "retry":
            again = await self.sending.retry(node)
            log.debug("a device asked for a message again; sent: %s", again)
            await self._line.acknowledge(node)
        else:
            await self._receiving.receipt(node)

    async def _notification(self, node: Node) -> None:
        if node.text("type") == LINK_CODE:
            self.pairing.notified(node)
        elif node.text("type") == "encrypt" and node.child("count") is not None:
            await self.upload_prekeys()  # the server runs out of our one-time prekeys
        elif node.text("type") == "account_sync" and node.child("devices") is not None:
            self.pairing.publish_key_indexes()
        await self._receiving.notification(node)

    # ---- what a person does

    def chat(self, to: str) -> WireJid:
        """The address of a phone number or of an address; raises NotOnWhatsApp."""
        try:
            jid = WireJid.parse(to) if "@" in to else WireJid(digits_of(to), "s.whatsapp.net")
        except ValueError as error:
            raise NotOnWhatsApp(f"{to} is no phone number and no address") from error
        if jid.server == GROUP_SERVER:
            return jid
        account = self.world.account_of(jid)
        if account is None:
            raise NotOnWhatsApp(f"{to} is not on WhatsApp")
        return account.lid_jid

    async def send(self, body: PhoneMessage) -> str:
        """Send a message (`times` copies of it) and return the id of the last one. Raises PhoneError."""
        chat = self.chat(body.to)
        message = self.files.compose(body.media) if body.media else self._composer.compose(chat, body)
        number = ""
        for count in range(body.times):
            number = body.id if body.id and not count else new_message_id()
            timestamp = int(time.time())
            try:
                await self.sending.send(chat, message, number)
            except TimeoutError as error:
                raise PhoneError("the server did not take the message in time") from error
            data = self._composer.described(chat, message, number, timestamp)
            self.inbox.add("sent", data, message.SerializeToString())
        return number

    async def read(self, ids: Collection[str] = (), chat: str = "", *, played: bool = False) -> int:
        """Mark messages read (or played): these, those of one chat, or all that are unread; returns how many."""
        name = self._line.number(self.chat(chat)) if chat else ""
        marked: dict[tuple[str, str], list[str]] = {}
        for entry in self.inbox.after(0, {"message"}):
            if not _concerned(entry, ids, name, played=played):
                continue
            entry.data["read"] = True
            marked.setdefault((entry.data["chat"], entry.data["from_lid"]), []).append(entry.data["id"])
        for (where, sender), messages in marked.items():
            await self._line.send(self._read_receipt(where, WireJid.parse(sender), messages, played=played))
        return sum(map(len, marked.values()))

    def _read_receipt(self, where: str, sender: WireJid, messages: list[str], *, played: bool) -> Node:
        chat = self.chat(where)
        receipt = Node("receipt", {"id": messages[0], "to": chat, "type": "played" if played else "read"})
        receipt.attrs["t"] = str(int(time.time()))
        if chat.server == GROUP_SERVER:
            receipt.attrs["participant"] = sender.bare
        if len(messages) > 1:
            receipt.content = [Node("list", content=[Node("item", {"id": number}) for number in messages[1:]])]
        return receipt

    async def typing(self, to: str, state: str = "composing") -> None:
        """Show the other side that we type (`composing`), record (`recording`) or stopped (`paused`)."""
        if state not in TYPING:
            raise PhoneError(f"the state of typing is one of {', '.join(TYPING)}")
        if not self._available:
            await self.presence(available=True)
        tag = "paused" if state == "paused" else "composing"
        await self._line.send(Node("chatstate", {"to": self.chat(to)}, [Node(tag, dict(TYPING[state]))]))

    async def presence(self, *, available: bool) -> None:
        """Come online for those who watch, or go."""
        self._available = available
        name = self.account.push_name or self.account.phone
        await self._line.send(Node("presence", {"type": "available" if available else "unavailable", "name": name}))

    async def ask_again(self, message: str) -> None:
        """Ask the sender for a message of a person once more, as if it could not be read. Raises `PhoneError`."""
        if not await self._receiving.ask_for(message):
            raise PhoneError("no message with that id came in")

    async def block(self, number: str, *, on: bool = True) -> None:
        """Block an account or let it write again."""
        account = self.world.account_of(self.chat(number))
        if account is None:
            raise NotOnWhatsApp(f"{number} is not on WhatsApp")
        item = Node(
            "item", {"action": "block" if on else "unblock", "jid": account.lid_jid, "pn_jid": account.phone_jid}
        )
        await self._line.ask("blocklist", "set", item)

    async def set_picture(self, jpeg: bytes) -> None:
        """Set the profile picture."""
        await self._line.ask("w:profile:picture", "set", Node("picture", {"type": "image"}, jpeg))

    async def unlink(self, device: int) -> None:
        """Log a companion out; raises UnknownPhone when there is none of this number."""
        try:
            await self.world.remove_device(self.account, device)
        except LookupError as error:
            raise UnknownPhone(f"this phone has no linked device {device}") from error

    def file_of(self, message_id: str) -> tuple[str, bytes]:
        """The MIME type and the decrypted file of a media message. Raises PhoneError."""
        return self.files.open(self.raw_of(message_id))

    def raw_of(self, message_id: str) -> bytes:
        """A message, received or sent, as a serialized waE2E.Message. Raises PhoneError."""
        entry = self.inbox.find(message_id)
        if entry is None:
            raise UnknownPhone(f"this phone has neither got nor sent a message {message_id}")
        return entry.raw

    def to_json(self) -> dict[str, Any]:
        """Who this is, for the admin API."""
        return {
            "phone": self.account.phone,
            "lid": f"{self.account.lid}@lid",
            "push_name": self.account.push_name,
            "devices": sorted(self.account.devices),
        }


def _concerned(entry: InboxEntry, ids: Collection[str], chat: str, *, played: bool) -> bool:
    data = entry.data
    if data["from_me"] or (chat and data["chat"] != chat):
        return False
    return data["id"] in ids if ids else (played or not data["read"])
