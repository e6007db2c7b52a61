"""Who may call, and from where."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.api.conftest import TOKEN, Api
from zapwire.api import routes
from zapwire.api.http.routing import Access, Route

CLOSED = [route for route in routes.API if route.access is not Access.PUBLIC]


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: f"{route.method} {route.path}")
async def test_every_call_needs_a_token(api: Api, route: Route) -> None:
    api.headers = {}
    path = route.path.format(bot="shop", message="msg_1", webhook="whk_1", event="evt_1", media="med_1")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Api-Key": "wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        status, answer_headers, body = await api.raw(route.method, path, headers=headers)
        assert status == 401, headers
        assert answer_headers["WWW-Authenticate"].startswith("Bearer")
        assert json.loads(body)["code"] == "unauthorized"


def test_only_these_calls_are_public() -> None:
    assert {route.path for route in routes.API if route.access is Access.PUBLIC} == {"/livez", "/readyz"}
    assert {route.path for route in routes.API if route.access is Access.STREAM} == {"/v1/events"}
    assert all(route.access is Access.TOKEN for route in routes.SANDBOX)


async def test_both_headers_work_with_both_kinds_of_token(api: Api) -> None:
    _, made = await api.core.tokens.create("tests")
    api.headers = {}
    for secret in (TOKEN, made):
        for headers in ({"Authorization": f"Bearer {secret}"}, {"X-Api-Key": secret}):
            assert (await api.ask("GET", "/v1/bots", headers=headers))[0] == 200


async def test_a_revoked_token_stops_working(api: Api) -> None:
    token, secret = await api.core.tokens.create("tests")
    api.headers = {"X-Api-Key": secret}
    assert (await api.ask("GET", "/v1/bots"))[0] == 200
    await api.core.tokens.revoke(token.id)
    assert (await api.ask("GET", "/v1/bots"))[0] == 401


async def test_a_token_in_the_url_is_not_taken(api: Api) -> None:
    api.headers = {}
    for name in ("token", "access_token", "x-api-key"):
        assert (await api.ask("GET", f"/v1/bots?{name}={TOKEN}"))[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
async def test_a_rebound_host_name_is_refused_on_loopback(api: Api, host: str) -> None:
    for path in ("/", "/v1/bots", "/readyz"):
        status, problem = await api.ask("GET", path, headers={"Host": host})
        assert (status, problem["code"]) == (421, "foreign-origin")


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:1", "[::1]:8080", "zapwire.localhost"])
async def test_names_of_this_machine_are_taken(api: Api, host: str) -> None:
    assert (await api.ask("GET", "/livez", headers={"Host": host}))[0] == 200


async def test_a_foreign_page_may_not_act(api: Api) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        status, problem = await api.ask("POST", "/v1/bots", {"id": "shop"}, headers={"Origin": origin})
        assert (status, problem["field"]) == (403, "Origin")
    assert (await api.ask("POST", "/v1/bots", {"id": "shop"}, headers={"Origin": api.url}))[0] == 201


async def test_a_foreign_page_may_not_follow_the_events(api: Api) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.http.ws_connect(api.url + "/v1/events", headers={**api.headers, "Origin": "http://evil.example"})
    assert refused.value.status == 403


async def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path in ("/", "/docs", "/page/app.js", "/v1/bots", "/v1/nothing", "/livez"):
        _, headers, _ = await api.raw("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "'unsafe" not in headers["Content-Security-Policy"]
        assert "Server" not in headers


async def test_a_socket_may_say_its_token_first(api: Api) -> None:
    await api.connected("shop")
    async with api.http.ws_connect(api.url + "/v1/events?after=0") as socket:
        await socket.send_json({"token": TOKEN})
        assert (await socket.receive_json(timeout=5))["bot"] == "shop"


@pytest.mark.parametrize("first", ["{}", '{"token": "wrong"}', "x", "[]", '{"token": 5}'])
async def test_a_socket_with_a_wrong_first_message_is_closed(api: Api, first: str) -> None:
    await api.connected("shop")
    async with api.http.ws_connect(api.url + "/v1/events?after=0") as socket:
        await socket.send_str(first)
        async with asyncio.timeout(5):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4401


async def test_a_socket_with_a_wrong_header_is_refused(api: Api) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.http.ws_connect(api.url + "/v1/events", headers={"X-Api-Key": "wrong"})
    assert refused.value.status == 401
