"""Files over HTTPS, and the way to the server through its proxy."""

from __future__ import annotations

import base64
import hashlib
import ssl

import aiohttp
import pytest

from tests.sandbox.served import logged_in
from tests.sandbox.wire_client import WireClient
from zapwire.sandbox.server.hosts import leads_to_sandbox
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.wire.node import Node


async def test_media_is_kept_under_its_hash(server: SandboxServer) -> None:
    client, _ = await logged_in(server)
    async with client, aiohttp.ClientSession() as http:
        context = ssl.create_default_context(cafile=server.descriptor["ca"])
        answer = (await client.ask("set", "w:m", Node("media_conn"))).child("media_conn")
        host = answer.child("host").text("hostname")
        assert f"https://{host}" == server.base_url  # what this client dialled
        data = b"encrypted" * 1000
        digest = hashlib.sha256(data).digest()
        token = base64.urlsafe_b64encode(digest).decode()
        auth = {"auth": answer.text("auth"), "token": token}

        async def post(token: str, auth: dict[str, str]) -> aiohttp.ClientResponse:
            return await http.post(f"https://{host}/mms/image/{token}", params=auth, data=data, ssl=context)

        assert (await post(token, {**auth, "auth": "guess"})).status == 401
        assert (await post("A" * 44, auth)).status == 400
        told = await (await post(token, auth)).json()
        path = told["direct_path"]
        assert told["url"] == f"https://{host}{path}"
        # through the proxy the host has WhatsApp's name, which leads nobody else here
        named = {"Host": "mmg.whatsapp.net"}
        upload = f"https://{host}/mms/image/{token}"
        async with http.post(upload, params=auth, data=data, ssl=context, headers=named) as response:
            assert (await response.json())["url"] == f"https://{host}{path}"
        for asked, status in ((token, 200), ("A" * 44, 403)):
            url = f"https://{host}{path}&hash={asked}&mms-type=image"
            async with http.get(url, ssl=context) as response:
                assert response.status == status
                assert status != 200 or await response.read() == data
        async with http.get(f"https://{host}/v/t62/{'A' * 43}", ssl=context) as response:
            assert response.status == 404


def test_where_the_proxy_leads() -> None:
    assert leads_to_sandbox("web.whatsapp.com:443")
    assert leads_to_sandbox("mmg.whatsapp.net:443")
    assert not any(map(leads_to_sandbox, ["web.whatsapp.com:80", "example.org:443", "xwhatsapp.net:443", "", ":443"]))


async def test_the_usual_address_leads_here_through_the_proxy(server: SandboxServer) -> None:
    descriptor = {**server.descriptor, "socket_url": "wss://web.whatsapp.com/ws/chat"}
    descriptor["use_proxy"] = server.descriptor["proxy"]
    client = WireClient(descriptor)
    async with await client.connect(client.registration()):
        assert await client.qr_codes()
    client.descriptor = {**descriptor, "socket_url": server.descriptor["socket_url"]}
    async with await client.connect(client.registration()):
        assert await client.qr_codes()
    client.descriptor = {**descriptor, "socket_url": "wss://example.org/ws/chat"}
    with pytest.raises(aiohttp.ClientHttpProxyError):
        await client.connect(client.registration())
    assert server.proxy.refused == {"example.org:443": 1}
