"""The step of a pairing in which WhatsApp demands the account's passkey, between the scan and `pair-success`.

Source: whatsmeow's pair-passkey.go. Crypto of both sides: `wire/passkey.py`; the phone's half: `phones/passkey.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from zapwire.sandbox.server.replies import SERVER, notification
from zapwire.sandbox.server.state.accounts import Account
from zapwire.sandbox.server.state.passkey import RP_ID, verify
from zapwire.wire.node import Node

LASTS: Final = 600.0
"""Seconds that the challenge, and with it the pairing, may take."""
CHALLENGE: Final = 32


class PasskeyStep:
    """One pairing's step: the stanzas of the client as they come, for the phone to wait for."""

    def __init__(self, account: Account, send: Callable[[Node], Awaitable[None]]) -> None:
        self._account = account
        self._send = send
        self._challenge = b""
        self.ref = f"4@{secrets.token_urlsafe(24)}"
        loop = asyncio.get_running_loop()
        self.prologue: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()
        """The prologue, and the proof that the pairing goes on from the scan (empty: none)."""
        self.nonce: asyncio.Future[bytes] = loop.create_future()
        self.request: asyncio.Future[bytes] = loop.create_future()
        self.question = self._ask()

    def _ask(self) -> dict[str, Any]:
        self._challenge = secrets.token_bytes(CHALLENGE)
        return {
            "challenge": base64.urlsafe_b64encode(self._challenge).decode().rstrip("="),
            "timeout": int(LASTS * 1000),
            "rpId": RP_ID,
            "allowCredentials": [],
            "userVerification": "required",
            "extensions": {"uvm": True},
        }

    async def begin(self) -> None:
        """Demand the passkey of the client."""
        parts = [] if self._account.passkey_rule.bare else [self._options()]
        await self._send(notification("passkey_prologue_request", SERVER, parts))

    async def go_on(self, primary: bytes) -> None:
        """Pass on the phone's ephemeral identity; other parts may stand before it."""
        parts = [Node("later", {}, b"?"), Node("primary_ephemeral_identity", {}, primary)]
        await self._send(notification("crsc_continuation", SERVER, parts))

    def _options(self) -> Node:
        return Node("passkey_request_options", {}, json.dumps(self.question).encode())

    def handle(self, node: Node) -> Node | None:
        """The answer to an iq of the client that belongs to this step; None when it does not."""
        get, part = node.text("type") == "get", node.children[0] if node.children else Node("")
        match part.tag:
            case "ref" if get:
                return Node("iq", {}, [Node("ref", {}, self.ref.encode())])
            case "passkey_request_options" if get:
                self.question = self._ask()
                return Node("iq", {}, [self._options()])
            case "passkey_prologue":
                return self._take_prologue(part)
            case "companion_nonce":
                return _take(self.nonce, part.data)
            case "encrypted_pairing_request":
                return _take(self.request, part.data)
        return None

    def _take_prologue(self, part: Node) -> Node:
        def data(tag: str) -> bytes:
            child = part.child(tag)
            return child.data if child else b""

        passkey = self._account.passkey
        try:
            credential = json.loads(data("webauthn_assertion"))
            if passkey is None or data("credential_id") != passkey.credential_id:
                raise ValueError("not the passkey of this account")
            verify(self._challenge, credential, passkey)
        except (ValueError, RecursionError) as error:
            return _error(401, f"not-authorized: {error}")
        return _take(self.prologue, (data("prologue_payload"), data("pairing_handoff_proof")))


def _take(future: asyncio.Future[Any], value: Any) -> Node:
    if future.done():
        return _error(409, "conflict")
    future.set_result(value)
    return Node("iq", {})


def _error(code: int, text: str) -> Node:
    return Node("iq", {"type": "error"}, [Node("error", {"code": str(code), "text": text})])
