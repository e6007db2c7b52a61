"""A virtual phone's line to the server: sends stanzas as any client does, and matches answers to questions."""

from __future__ import annotations

import asyncio
import secrets
from itertools import count
from typing import Final, Protocol

from zapwire.sandbox.phones.errors import ServerRefused
from zapwire.sandbox.server.state.accounts import Account
from zapwire.wire.node import Attr, Node, WireJid

SERVER: Final = WireJid("", "s.whatsapp.net")
PHONE: Final = 0
ANSWER_WITHIN: Final = 30.0
"""Seconds; the server is in the same process, so a late answer means a fault was asked for."""


class Network(Protocol):
    """The part of the world that a phone needs."""

    async def handle(self, account: Account, device: int, node: Node) -> None:
        """Take a stanza from a device."""

    def account_of(self, jid: WireJid) -> Account | None:
        """The account behind a phone number or LID."""


class Line:
    """Device 0 of one account, as far as questions and answers go."""

    def __init__(self, network: Network, account: Account) -> None:
        self.network = network
        self.account = account
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)
        self.sent = 0
        self._waiting: dict[tuple[str, str], asyncio.Future[Node]] = {}

    async def send(self, node: Node) -> None:
        """Send a stanza that has no answer."""
        self.sent += 1
        await self.network.handle(self.account, PHONE, node)

    async def ask(self, namespace: str, kind: str, *content: Node, to: WireJid = SERVER, **attrs: Attr) -> Node:
        """Send an `<iq>` and return the result; raises ServerRefused, or TimeoutError when there is no answer."""
        number = f"{self._prefix}-{next(self._numbers)}"
        iq = Node("iq", {"id": number, "to": to, "type": kind, "xmlns": namespace, **attrs}, list(content))
        answer = await self._answer(("iq", number), iq)
        if answer.text("type") == "error":
            error = answer.child("error") or Node("error")
            raise ServerRefused(int(error.text("code", "500")), error.text("text"))
        return answer

    async def send_message(self, message: Node) -> Node:
        """Send a `<message>` and wait for the server's ack; raises ServerRefused or TimeoutError."""
        ack = await self._answer(("message", message.text("id")), message)
        if error := ack.text("error"):
            raise ServerRefused(int(error), "the message was not accepted")
        return ack

    async def _answer(self, key: tuple[str, str], node: Node) -> Node:
        answer: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answer
        try:
            await self.send(node)
            async with asyncio.timeout(ANSWER_WITHIN):
                return await answer
        finally:
            del self._waiting[key]

    def take(self, node: Node) -> bool:
        """Hand an answer to whoever waits for it; False when the stanza is no answer."""
        if node.tag == "iq" and node.text("type") in {"result", "error"}:
            key = ("iq", node.text("id"))
        elif node.tag == "ack" and node.text("class") == "message":
            key = ("message", node.text("id"))
        else:
            return node.tag == "ack"
        answer = self._waiting.get(key)
        if answer is not None and not answer.done():
            answer.set_result(node)
        return True

    async def acknowledge(self, node: Node) -> None:
        """Tell the server that a stanza has been dealt with."""
        attrs: dict[str, Attr] = {"class": node.tag, "id": node.attrs["id"], "to": node.attrs["from"]}
        attrs |= {name: node.attrs[name] for name in ("participant", "recipient") if name in node.attrs}
        if node.tag != "message" and "type" in node.attrs:
            attrs["type"] = node.attrs["type"]
        await self.send(Node("ack", attrs))

    def lid(self, jid: WireJid) -> WireJid:
        """The same device under its account's LID, which names its Signal session; unknown ones stay as they are."""
        account = self.network.account_of(jid)
        return account.lid_jid.with_device(jid.device) if account else jid

    def number(self, jid: WireJid) -> str:
        """The phone number behind an address as digits; for groups and strangers the address itself."""
        account = self.network.account_of(jid)
        return account.phone if account else str(jid.bare)
