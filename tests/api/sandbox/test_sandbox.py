"""The calls that exist only with a sandbox, against an admin API that notes what it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.api.conftest import Api, open_api, serve
from tests.api.v1.test_passkey import answered
from tests.harness.scripted import PasskeyTransport
from zapwire.api.sandbox.client import SandboxClient
from zapwire.api.sandbox.reverse_proxy import make_relay
from zapwire.settings import Settings


class Admin:
    """The sandbox's admin API, as far as the daemon uses it."""

    def __init__(self) -> None:
        self.scans: list[tuple[str, str | None]] = []
        self.status = 200
        self.demanded: list[str] = []
        self.question: Any = None
        self.url = ""

    async def scan(self, request: web.Request) -> web.Response:
        self.scans.append((await request.text(), request.query.get("phone")))
        return web.json_response({"phone": "4915100000001", "lid": "900001@lid"}, status=self.status)

    async def phones(self, _: web.Request) -> web.Response:
        return web.json_response({"phones": [{"phone": "1"}, {"phone": "2"}]}, status=self.status)

    async def demand(self, request: web.Request) -> web.Response:
        assert await request.json() == {"demanded": True}
        self.demanded.append(request.match_info["phone"])
        return web.json_response({})

    async def shown(self, request: web.Request) -> web.Response:
        asked = request.match_info["phone"] == "2"
        return web.json_response({"pairing": {"question": self.question if asked else None}})

    async def use(self, request: web.Request) -> web.Response:
        assert request.match_info["phone"] == "2"
        return web.json_response({"answer": answered((await request.json())["question"])})


@pytest_asyncio.fixture
async def admin() -> AsyncIterator[Admin]:
    app, one = web.Application(), Admin()
    app.router.add_post("/admin/phones", one.phones)
    app.router.add_get("/admin/phones", one.phones)
    app.router.add_put("/admin/phones/{phone}/passkey", one.demand)
    app.router.add_get("/admin/phones/{phone}/passkey", one.shown)
    app.router.add_post("/admin/phones/{phone}/passkey/answer", one.use)
    app.router.add_post("/admin/mock-phone/scan-qr", one.scan)
    async for url in serve(app):
        one.url = f"{url}/admin"
        yield one


@pytest_asyncio.fixture
async def demo(tmp_path: Path, admin: Admin) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as http:
        sandbox = SandboxClient("wss://127.0.0.1:9/ws/chat", admin.url, http)
        async for one in open_api(tmp_path, sandbox, kind=PasskeyTransport):
            yield one


async def test_one_click_scans(demo: Api, admin: Admin) -> None:
    await demo.call("POST", "/v1/bots", {"id": "shop"})
    found = await demo.call("POST", "/v1/sandbox/scan", {"bot": "shop", "phone": "4915100000001"})
    assert found["phone"] == "4915100000001"
    assert admin.scans == [("2@ref,noise,identity,secret", "4915100000001")]


async def test_one_click_answers_with_the_passkey_of_the_phone_that_scanned(demo: Api, admin: Admin) -> None:
    await demo.call("POST", "/v1/bots", {"id": "shop"})
    phone = "4915100000002"
    await demo.call("POST", "/v1/sandbox/scan", {"bot": "shop", "phone": phone, "passkey": True})
    assert admin.demanded == [phone]
    transport = demo.transport("shop")
    transport.scan()
    admin.question = (await demo.call("GET", "/v1/bots/shop/passkey?wait=5"))["question"]
    assert await demo.call("POST", "/v1/sandbox/passkey", {"bot": "shop"}) == {"phone": "2"}
    assert (await demo.call("GET", "/v1/bots/shop"))["pairing"]["step"] == "phone"
    assert len(transport.answers) == 1
    assert (await demo.ask("POST", "/v1/sandbox/passkey", {"bot": "shop"}))[0] == 409


async def test_a_passkey_that_no_phone_is_asked_for_is_told(demo: Api, admin: Admin) -> None:
    await demo.call("POST", "/v1/bots", {"id": "shop"})
    await demo.call("POST", "/v1/sandbox/scan", {"bot": "shop"})
    demo.transport("shop").scan()
    status, problem = await demo.ask("POST", "/v1/sandbox/passkey", {"bot": "shop"})
    assert (status, problem["code"]) == (502, "sandbox")


async def test_a_sandbox_that_refuses_is_told(demo: Api, admin: Admin) -> None:
    admin.status = 500
    await demo.call("POST", "/v1/bots", {"id": "shop"})
    status, problem = await demo.ask("POST", "/v1/sandbox/scan", {"bot": "shop"})
    assert (status, problem["code"]) == (502, "sandbox")


@pytest.mark.parametrize("phone", ["", "hello", "+49 1", "1" * 30, "٤٩١٥١٠٠٠٠٠٠٠١"])
async def test_a_phone_that_is_none_is_the_callers_fault(demo: Api, admin: Admin, phone: str) -> None:
    await demo.call("POST", "/v1/bots", {"id": "shop"})
    status, problem = await demo.ask("POST", "/v1/sandbox/scan", {"bot": "shop", "phone": phone})
    assert (status, problem["field"]) == (422, "phone")
    assert admin.scans == []


async def test_the_status_says_that_this_is_not_whatsapp(demo: Api) -> None:
    assert (await demo.call("GET", "/readyz"))["whatsapp_server"] == "wss://127.0.0.1:9/ws/chat"
    assert (await demo.call("GET", "/v1/sandbox"))["page"].startswith("https://127.0.0.1:")


async def test_without_a_sandbox_there_is_no_such_call(api: Api) -> None:
    status, problem = await api.ask("POST", "/v1/sandbox/scan", {"bot": "shop"})
    assert (status, problem["code"]) == (404, "no-such-path")


async def test_the_sandboxs_page_comes_over_plain_http(admin: Admin) -> None:
    async with aiohttp.ClientSession() as http:
        sandbox = SandboxClient("wss://127.0.0.1:9/ws/chat", admin.url, http)
        sandbox.origin = admin.url.removesuffix("/admin")
        async for url in serve(make_relay(sandbox, Settings())):
            async with http.post(f"{url}/admin/mock-phone/scan-qr?phone=49", data="2@x") as answer:
                assert (answer.status, (await answer.json())["lid"]) == (200, "900001@lid")
            for path, headers in (("/ws/chat", {}), ("/admin/phones", {"Host": "evil.example"})):
                async with http.get(url + path, headers=headers) as answer:
                    assert answer.status in {404, 421}
            async with http.post(
                f"{url}/admin/mock-phone/scan-qr", headers={"Origin": "http://evil.example"}
            ) as answer:
                assert answer.status == 403
    assert admin.scans == [("2@x", "49")]
