"""Which version clients announce, which ones are let in, and what the web page names as the newest."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa6

from tests.sandbox.served import PHONE, pair
from tests.sandbox.wire_client import WireClient
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.state.faults import CLIENT_REVISION, WebPage

pytestmark = pytest.mark.usefixtures("short_waits")


def announcing(payload: bytes, version: int) -> bytes:
    message = wa6.ClientPayload.FromString(payload)
    announced = message.userAgent.appVersion
    announced.primary, announced.secondary, announced.tertiary = 2, 3000, version
    if message.HasField("devicePairingData"):
        message.devicePairingData.buildHash = b"h" * 16
    return message.SerializeToString()


async def test_a_client_below_the_oldest_version_is_turned_away_at_registration_and_login(server: SandboxServer):
    client, number = await pair(server)
    server.world.faults.oldest_version = 1000
    for payload in (client.registration(), client.login(PHONE, number)):
        async with await client.connect(announcing(payload, 999)):
            answer = await client.next()
        assert (answer.tag, answer.text("reason")) == ("failure", "405")
    async with await client.connect(announcing(client.login(PHONE, number), 1000)):
        assert (await client.next()).tag == "success"
    assert list(server.world.statistics.announced)[-3:] == [
        {"kind": "registration", "phone": "", "version": "2.3000.999", "build_hash": "68" * 16},
        {"kind": "login", "phone": PHONE, "version": "2.3000.999", "build_hash": ""},
        {"kind": "login", "phone": PHONE, "version": "2.3000.1000", "build_hash": ""},
    ]
    server.world.faults.clear()
    async with await client.connect(announcing(WireClient(server.descriptor).registration(), 1)):
        assert (await client.next()).tag == "iq"


async def ask(server: SandboxServer, **options: object) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=server.descriptor["ca"])
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.base_url}/sw.js", ssl=context, allow_redirects=False, **options) as answer,
    ):
        return answer.status, await answer.text()


async def test_the_web_page_names_a_revision_or_something_else(server: SandboxServer):
    assert f'\\"client_revision\\":{CLIENT_REVISION}' in (await ask(server))[1]
    server.world.faults.web_page = WebPage(7)
    assert '\\"client_revision\\":7}' in (await ask(server))[1]
    for answer, status, part in [
        ("login-page", 200, "<!DOCTYPE html>"),
        ("error", 503, "later"),
        ("redirect", 302, ""),
    ]:
        server.world.faults.web_page = WebPage(7, answer)
        found = await ask(server)
        assert (found[0], part in found[1], "client_revision" in found[1]) == (status, True, False)
    server.world.faults.web_page = WebPage(7, "huge")
    assert len((await ask(server))[1]) > 10_000_000
    server.world.faults.web_page = WebPage(7, "hang")
    with pytest.raises(asyncio.TimeoutError):
        await ask(server, timeout=aiohttp.ClientTimeout(total=0.2))
