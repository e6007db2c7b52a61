"""A server with one account, and clients that pair and log in over a real TLS socket."""

from __future__ import annotations

import asyncio

import pytest

from tests.sandbox.wire_client import Ended, WireClient
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.state.accounts import Account
from zapwire.wire import adv
from zapwire.wire.curve import KeyPair

PHONE = "491510000001"
PHONE_KEY = KeyPair.generate()


def alice(server: SandboxServer) -> Account:
    return server.world.accounts[PHONE]


async def scan(server: SandboxServer, code: str) -> int:
    qr = adv.parse_qr(code)
    container = adv.identity_container(PHONE_KEY, qr.identity_public, qr.adv_secret, raw_id=1, key_index=1, timestamp=1)
    return await server.world.pair(qr.ref, alice(server), 1, container)


async def pair(server: SandboxServer) -> tuple[WireClient, int]:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        assert len(set(codes)) == 6
        number, (jid, lid) = await asyncio.gather(scan(server, codes[2]), client.confirm_pairing())
        assert (str(jid), str(lid)) == (f"{PHONE}:{number}@s.whatsapp.net", f"{alice(server).lid}:{number}@lid")
        assert (await client.until("stream:error")).text("code") == "515"
        with pytest.raises(Ended):
            await client.next()
    return client, number


async def logged_in(server: SandboxServer) -> tuple[WireClient, int]:
    client, number = await pair(server)
    await client.connect(client.login(PHONE, number))
    success = await client.next()
    assert (success.tag, str(success.jid("lid"))) == ("success", f"{alice(server).lid}:{number}@lid")
    return client, number
