"""The server over a real TLS socket: pairing and login."""

from __future__ import annotations

import asyncio
import json
import re
import ssl

import aiohttp
import pytest

from tests.sandbox.recording import Recorder, fan_out
from tests.sandbox.served import PHONE, alice, logged_in, pair, scan
from tests.sandbox.wire_client import Ended, WireClient
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.pairings import PairingFailed
from zapwire.sandbox.server.world import World
from zapwire.wire.curve import KeyPair
from zapwire.wire.node import Node

pytestmark = pytest.mark.usefixtures("short_waits")


async def test_pairing_login_and_delivery(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        assert client.server_static == server.state.identity.static.public
        phone = Recorder(server.world, alice(server), 0)
        server.world.attach(alice(server), 0, phone)
        device = alice(server).lid_jid.with_device(number)
        await phone.send(fan_out(alice(server).lid_jid, "m1", device))
        assert (await client.ask("set", "passive", Node("active"))).text("type") == "result"
        assert (await client.until("message")).text("offline") == "1"  # after the notification of its own device
        await client.until("ib")
        await phone.send(fan_out(alice(server).lid_jid, "m2", device))
        assert (await client.until("message")).text("id") == "m2"
    assert server.world.statistics.to_json()["pairings"] == 1


@pytest.mark.parametrize("outdated", [False, True])
async def test_a_client_that_kept_the_servers_key_resumes_or_falls_back(server: SandboxServer, outdated: bool) -> None:
    client, number = await pair(server)
    client.known_static = KeyPair.generate().public if outdated else server.state.identity.static.public
    async with await client.connect(client.login(PHONE, number)):
        assert (await client.next()).tag == "success"
        assert client.resumed is not outdated
        assert (await client.ask("set", "passive", Node("active"))).text("type") == "result"


async def test_a_client_that_is_too_old_is_named_in_the_log(
    server: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=server.descriptor["ca"])
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.descriptor["socket_url"], ssl=context) as socket,
    ):
        await socket.send_bytes(b"WA\x06\x02")
        assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    (line,) = [
        record.getMessage()
        for record in caplog.records
        if record.name == "zapwire.sandbox.server.network.client_socket"
    ]
    assert "too old: use a newer release of the library" in line


async def test_libraries_that_ask_for_the_clients_revision_get_one(server: SandboxServer) -> None:
    context = ssl.create_default_context(cafile=server.descriptor["ca"])
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.base_url}/sw.js", ssl=context) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "text/javascript")
        script = await answer.text()
    written = re.fullmatch(r'self\.__swData=JSON\.parse\(("(?:[^"\\]|\\.)*")\);\n', script)
    assert written is not None
    assert json.loads(json.loads(written[1]))["dynamic_data"]["SiteData"]["client_revision"] > 0
    assert re.search(r'\\?"client_revision\\?":\s*(\d+)', script)  # as Baileys reads it


async def test_a_reference_pairs_once(server: SandboxServer) -> None:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        await asyncio.gather(scan(server, codes[0]), client.confirm_pairing())
        with pytest.raises(LookupError):
            await scan(server, codes[1])


async def test_a_companion_that_signs_wrongly_is_not_paired(server: SandboxServer) -> None:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        codes = await client.qr_codes()
        confirming = asyncio.create_task(client.confirm_pairing(spoil=True))
        with pytest.raises(PairingFailed):
            await scan(server, codes[0])
        await confirming
    assert list(alice(server).devices) == [0]


async def test_unscanned_codes_end_with_the_connection() -> None:
    async with SandboxServer(World(), registration_seconds=0.05) as server:
        client = WireClient(server.descriptor)
        async with await client.connect(client.registration()):
            assert (await client.next()).child("pair-device") is not None
            with pytest.raises(Ended):
                await client.next()
        assert server.world.pairings.waiting() == []


@pytest.mark.parametrize("other", ["key", "device", "account"])
async def test_strangers_are_logged_out(server: SandboxServer, other: str) -> None:
    client, number = await pair(server)
    if other == "key":
        client.noise = KeyPair.generate()
    payload = client.login("999999999" if other == "account" else PHONE, 77 if other == "device" else number)
    async with await client.connect(payload):
        assert (await client.next()).text("reason") == "401"


async def test_an_unlinked_device_is_told_and_stays_out(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        await server.world.remove_device(alice(server), number)
        error = await client.until("stream:error")
        assert (error.text("code"), error.child("conflict").text("type")) == ("401", "device_removed")
    async with await client.connect(client.login(PHONE, number)):
        assert (await client.next()).text("reason") == "401"


async def test_logging_out_unlinks(server: SandboxServer) -> None:
    client, number = await logged_in(server)
    async with client:
        jid = alice(server).phone_jid.with_device(number)
        request = Node("remove-companion-device", {"jid": jid, "reason": "user_initiated"})
        assert (await client.ask("set", "md", request)).text("type") == "result"
        await client.until("stream:error")
    assert list(alice(server).devices) == [0]


async def test_a_second_login_replaces_the_first(server: SandboxServer) -> None:
    first, number = await logged_in(server)
    async with first:
        second = WireClient(server.descriptor)
        second.noise = first.noise
        async with await second.connect(second.login(PHONE, number)):
            assert (await first.until("stream:error")).child("conflict").text("type") == "replaced"
            assert (await second.next()).tag == "success"
            with pytest.raises(Ended):
                await first.next()
            assert (await second.ask("get", "w:p")).text("type") == "result"


async def test_rubbish_ends_the_connection_only(server: SandboxServer) -> None:
    async with aiohttp.ClientSession() as http:
        context = ssl.create_default_context(cafile=server.descriptor["ca"])
        async with http.ws_connect(server.descriptor["socket_url"], ssl=context) as socket:
            await socket.send_bytes(b"hello")
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        assert await client.qr_codes()


async def test_a_new_code_takes_the_place_of_the_old_one(server: SandboxServer) -> None:
    phone = Recorder(server.world, alice(server), 0)
    server.world.attach(alice(server), 0, phone)
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        await client.qr_codes()

        async def hello() -> str:
            parts = [Node("link_code_pairing_wrapped_companion_ephemeral_pub", {}, bytes(80))]
            attrs = {"jid": alice(server).phone_jid, "stage": "companion_hello"}
            answer = await client.ask("set", "md", Node("link_code_companion_reg", attrs, parts))
            return answer.child("link_code_companion_reg", "link_code_pairing_ref").data.decode()

        old, new = await hello(), await hello()
        assert [request.ref for request in server.world.code_requests(PHONE)] == [new]
        stages = [n.child("link_code_companion_reg").text("stage") for n in phone.all("notification")]
        assert stages == ["companion_hello", "companion_hello"]
        with pytest.raises(LookupError):
            await server.world.primary_hello(old, bytes(80), bytes(32))
        await server.world.primary_hello(new, b"w" * 80, b"i" * 32)
        told = (await client.until("notification")).child("link_code_companion_reg")
        assert (told.text("stage"), told.child("primary_identity_pub").data) == ("primary_hello", b"i" * 32)
    assert server.world.code_requests("999999999") == []


async def test_what_a_waiting_client_may_not_ask_is_counted(server: SandboxServer) -> None:
    client = WireClient(server.descriptor)
    async with await client.connect(client.registration()):
        await client.qr_codes()
        assert (await client.ask("get", "w:p")).text("type") == "result"
        await client.send(Node("presence", {"type": "unavailable"}))
        refused = await client.ask("get", "usync", Node("usync"))
        assert refused.child("error").text("code") == "501"
    assert dict(server.world.statistics.unhandled) == {"iq get usync usync": 1}
