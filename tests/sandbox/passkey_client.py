"""The client's half of a pairing with a passkey, made by hand from the messages of `wire.passkey`."""

from __future__ import annotations

import json
from typing import Any

from tests.sandbox.wire_client import WireClient
from zapwire.wire import passkey
from zapwire.wire.curve import KeyPair
from zapwire.wire.node import Node


class Companion:
    """The client's half, as far as a test wants it."""

    def __init__(self, client: WireClient) -> None:
        self.client = client
        self.keys, self.nonce, self.new_secret = KeyPair.generate(), b"n" * 32, b"S" * 32
        self.ref = ""

    async def question(self, *, bare: bool = False) -> dict[str, Any]:
        part = (await self.client.until("notification", "passkey_prologue_request")).child("passkey_request_options")
        assert (part is None) == bare
        if part is None:
            part = (await self.client.ask("get", "md", Node("passkey_request_options"))).child(
                "passkey_request_options"
            )
        self.ref = (await self.client.ask("get", "md", Node("ref"))).child("ref").data.decode()
        return json.loads(part.data)

    async def send(self, credential: dict[str, Any], credential_id: bytes, *, proof: bool = True) -> Node:
        prologue = passkey.encode_prologue(passkey.Companion(self.keys.public, 0, self.ref), self.nonce)
        parts = {
            "credential_id": credential_id,
            "webauthn_assertion": json.dumps(credential).encode(),
            "prologue_payload": prologue,
        }
        if proof:
            key = passkey.handoff_key(self.client.secret)
            parts["pairing_handoff_proof"] = passkey.handoff_proof(key, prologue)
        children = [Node(tag, {}, data) for tag, data in parts.items()]
        return await self.client.ask("set", "md", Node("passkey_prologue", {}, children))

    async def code(self, *, nonce: bytes | None = None) -> tuple[str, passkey.Primary]:
        part = (await self.client.until("notification", "crsc_continuation")).child("primary_ephemeral_identity")
        primary = passkey.Primary.read(part.data)
        await self.client.ask("set", "md", Node("companion_nonce", {}, nonce or self.nonce))
        return passkey.verification_code(self.nonce, primary), primary

    async def request(self, primary: passkey.Primary) -> None:
        key = passkey.request_key(self.keys, primary.public, 0, self.ref)
        wanted = passkey.Request(self.client.noise.public, self.client.identity.public, self.new_secret)
        await self.client.ask("set", "md", Node("encrypted_pairing_request", {}, wanted.seal(key)))
        self.client.secret = self.new_secret
