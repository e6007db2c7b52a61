"""Stanzas over the socket of a companion that registers: questions and their answers, acknowledgements, keep-alives.

Source: whatsmeow's request.go, keepalive.go, receipt.go (`sendAck`).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from typing import Final

from zapwire.model.errors import TransportError
from zapwire.transport.whatsapp_web.pairing.own.noise_socket import NoiseSocket
from zapwire.wire.node import Attr, Node, WireJid

SERVER: Final = WireJid("", "s.whatsapp.net")
ANSWER_DEADLINE: Final = 75.0
KEEP_ALIVE: Final = (20.0, 30.0)
"""Seconds between two keep-alives, from and to."""
KEEP_ALIVE_DEADLINE: Final = 10.0
MISSES: Final = 3
"""Keep-alives in a row without an answer after which the connection is given up."""
_LONGEST_CODE: Final = 10
BACKLOG: Final = 64
"""Stanzas that may wait to be handled; one that is not WhatsApp sends more."""


class Denied(TransportError):
    """The server answered a question with an error."""

    def __init__(self, code: str) -> None:
        super().__init__(f"WhatsApp refused (error {code or 'without a code'})")
        self.error = code


class Conversation:
    """One connection; `listen` and `keep_alive` run for as long as it lasts."""

    def __init__(self, socket: NoiseSocket) -> None:
        self._socket = socket
        first, second = secrets.token_bytes(2)
        self._prefix = f"{first}.{second}-"
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[Node]] = {}
        self.incoming: asyncio.Queue[Node] = asyncio.Queue(BACKLOG)
        """What is no answer to a question of ours, in order."""
        self.ending: Node | None = None
        """The stanza with which the server ended the connection."""

    async def listen(self) -> None:
        """Read until the connection ends. Raises what `NoiseSocket.next` does, and `TransportError`."""
        try:
            await self._listen()
        finally:
            for question in self._open.values():
                if not question.done():
                    question.set_exception(ConnectionResetError())

    async def _listen(self) -> None:
        while True:
            node = await self._socket.next()
            if node.tag in {"failure", "stream:error"}:
                self.ending = node
            if node.tag == "iq" and node.text("type") in {"result", "error"}:
                question = self._open.get(node.text("id"))
                if question is not None and not question.done():
                    question.set_result(node)
                continue
            try:
                self.incoming.put_nowait(node)
            except asyncio.QueueFull:
                raise TransportError("WhatsApp sent more than a pairing has stanzas") from None

    async def keep_alive(self) -> None:
        """Ask for a sign of life now and then. Raises `TransportError` when there is none any more."""
        misses = 0
        while misses < MISSES:
            await asyncio.sleep(random.uniform(*KEEP_ALIVE))  # noqa: S311 - no secret
            try:
                await self.ask("get", "w:p", deadline=KEEP_ALIVE_DEADLINE)
                misses = 0
            except Denied:
                misses = 0
            except TransportError:
                misses += 1
        raise TransportError("the connection to WhatsApp was lost while pairing")

    async def ask(self, kind: str, namespace: str, *content: Node, deadline: float = ANSWER_DEADLINE) -> Node:
        """Send an iq and wait for its result. Raises `Denied`, `TransportError`, OSError."""
        number = f"{self._prefix}{next(self._numbers)}"
        answer: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        attrs: dict[str, Attr] = {"id": number, "xmlns": namespace, "type": kind, "to": SERVER}
        try:
            async with asyncio.timeout(deadline):
                await self.send(Node("iq", attrs, list(content) or None))
                node = await answer
        except TimeoutError:
            raise TransportError("WhatsApp did not answer in time while pairing") from None
        finally:
            del self._open[number]
        if node.text("type") == "error":
            error = node.child("error")
            code = error.text("code") if error is not None else ""
            raise Denied(code if code.isascii() and code.isdecimal() and len(code) <= _LONGEST_CODE else "")
        return node

    async def acknowledge(self, node: Node) -> None:
        """Say that *node*, a notification, has arrived."""
        attrs: dict[str, Attr] = {"class": node.tag, "id": node.text("id")}
        for name, source in (("to", "from"), ("participant", "participant"), ("type", "type")):
            if (value := node.attrs.get(source)) is not None:
                attrs[name] = value
        await self.send(Node("ack", attrs))

    async def send(self, node: Node) -> None:
        """Send a stanza. Raises OSError."""
        await self._socket.send(node)

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.close()
