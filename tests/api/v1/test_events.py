"""Events over the API: pages, sockets, resuming, limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.api.conftest import Api
from zapwire.api.streaming import common, websocket


async def next_event(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return dict(await socket.receive_json(timeout=5))


async def show_codes(api: Api, *bots: str) -> None:
    """One event `bot.qr` for each of these bots, one after the other."""
    for bot in bots:
        await api.call("POST", "/v1/bots", {"id": bot})
        await api.call("GET", f"/v1/bots/{bot}/qr?wait=5")


async def test_pages_lead_through_the_whole_journal(api: Api) -> None:
    await show_codes(api, "a", "b", "c")
    found, after = [], 0
    while True:
        page = await api.call("GET", f"/v1/events?after={after}&limit=1&types=bot.qr")
        if not page["events"]:
            break
        found += page["events"]
        after = page["next_after"]
    assert [event["bot"] for event in found] == ["a", "b", "c"]
    assert page["last_seq"] >= after >= found[-1]["seq"]


async def test_a_page_is_filtered_by_bot_and_type(api: Api) -> None:
    await show_codes(api, "a", "b")
    page = await api.call("GET", "/v1/events?bots=b,c&types=bot.qr,message.status")
    assert [(event["bot"], event["type"]) for event in page["events"]] == [("b", "bot.qr")]
    assert (await api.call("GET", "/v1/events?types=message.received"))["events"] == []
    everything = (await api.call("GET", "/v1/events?types=*"))["events"]
    assert {event["type"] for event in everything} == {"bot.created", "bot.state", "bot.qr"}


async def test_a_socket_gets_what_comes_and_can_resume(api: Api) -> None:
    async with api.http.ws_connect(api.url + "/v1/events?types=bot.qr", headers=api.headers) as socket:
        await show_codes(api, "a", "b")
        first = await next_event(socket)
        assert (first["bot"], first["type"], first["data"]["attempt"]) == ("a", "bot.qr", 1)
    await show_codes(api, "c")
    query = f"after={first['seq']}&types=bot.qr"
    async with api.http.ws_connect(f"{api.url}/v1/events?{query}", headers=api.headers) as socket:
        assert [(await next_event(socket))["bot"] for _ in range(2)] == ["b", "c"]


async def test_a_socket_without_after_gets_nothing_old(api: Api) -> None:
    await show_codes(api, "old")
    async with api.http.ws_connect(api.url + "/v1/events", headers=api.headers) as socket:
        await show_codes(api, "new")
        assert (await next_event(socket))["bot"] == "new"


async def test_a_socket_with_a_bad_parameter_is_refused_with_a_problem(api: Api) -> None:
    for query in ("after=x", "types=no.such"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await api.http.ws_connect(f"{api.url}/v1/events?{query}", headers=api.headers)
        assert refused.value.status == 422


async def test_sockets_are_limited_and_a_closed_one_makes_room(api: Api) -> None:
    sockets = [await api.http.ws_connect(api.url + "/v1/events", headers=api.headers) for _ in range(3)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.http.ws_connect(api.url + "/v1/events", headers=api.headers)
    assert refused.value.status == 503
    for socket in sockets:
        await socket.close()
    async with asyncio.timeout(5):
        while (await api.http.get(api.url + "/v1/events", headers=api.headers)).status != 200:
            pass
    async with api.http.ws_connect(api.url + "/v1/events", headers=api.headers) as again:
        assert not again.closed


async def stalled(api: Api, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that took nothing of 12 MB until it was found too slow."""
    monkeypatch.setattr(common, "SLOW", 0.2)
    cut = asyncio.Event()
    monkeypatch.setattr(websocket.logger, "warning", lambda *_, **__: cut.set())
    transport = await api.connected("shop")
    reader, writer = await upgraded(api)
    for number in range(200):
        await transport.receive("x" * 60_000, number)
    async with asyncio.timeout(20):
        await cut.wait()
    return reader, writer


async def test_a_slow_client_is_told_from_where_it_may_resume(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await stalled(api, monkeypatch)
    frames = []
    async with asyncio.timeout(20):
        while not frames or frames[-1][0] != 8:
            frames.append(await read_frame(reader))
    writer.close()
    *events, (_, end) = frames
    seqs = [json.loads(body)["seq"] for _, body in events]
    assert 0 < len(seqs) < 200
    assert int.from_bytes(end[:2], "big") == 4408
    assert end[2:].decode() == f"took nothing for 0.2 s: resume with after={seqs[-1]}"
    async with api.http.ws_connect(f"{api.url}/v1/events?after={seqs[-1]}", headers=api.headers) as socket:
        rest = [(await next_event(socket))["seq"] for _ in range(200 - len(seqs))]
    assert seqs + rest == list(range(seqs[0], seqs[0] + 200))


async def test_a_client_that_takes_not_even_the_last_word_is_dropped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LAST_WORD", 0.2)
    dropped = asyncio.Event()
    abort = websocket.abort
    monkeypatch.setattr(websocket, "abort", lambda request: (abort(request), dropped.set()))
    reader, writer = await stalled(api, monkeypatch)
    async with asyncio.timeout(20):
        await dropped.wait()
    received = 0
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            received += len(chunk)
    assert received < 200 * 60_000
    writer.close()
    page, count = {"next_after": 0, "last_seq": 1}, 0
    while page["next_after"] < page["last_seq"]:
        page = await api.call("GET", f"/v1/events?types=message.received&limit=1000&after={page['next_after']}")
        count += len(page["events"])
    assert count == 200


async def test_a_silent_client_is_pinged_and_dropped_when_it_does_not_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "PING", 0.05)
    monkeypatch.setattr(websocket, "PONG", 0.2)
    async with api.http.ws_connect(api.url + "/v1/events", headers=api.headers, autoping=False) as socket:
        for _ in range(5):
            assert (await socket.receive(5)).type is aiohttp.WSMsgType.PING
            await socket.pong()
        await socket.ping(b"you too?")
        async with asyncio.timeout(5):
            while (answer := await socket.receive()).type is aiohttp.WSMsgType.PING:
                await socket.pong()
        assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"you too?")
    reader, writer = await upgraded(api)
    async with asyncio.timeout(5):
        assert (await read_frame(reader))[0] == 9
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read_frame(reader)
    writer.close()


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and content of the next WebSocket frame (RFC 6455, 5.2)."""
    first, size = await reader.readexactly(2)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    return first & 15, await reader.readexactly(size)


async def upgraded(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket on `/v1/events` that takes no more than 2 kB ahead of what the test reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(api.url).port, limit=1024)
    headers = {
        "Host": "localhost",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **api.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET /v1/events HTTP/1.1\r\n{lines}\r\n".encode())
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_the_end_of_the_daemon_is_told(api: Api) -> None:
    async with api.http.ws_connect(api.url + "/v1/events", headers=api.headers) as socket:
        closing = asyncio.create_task(common.close_streams(api.app))
        async with asyncio.timeout(5):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1001
            await closing


async def test_one_that_has_not_said_its_token_is_told_the_end_too(api: Api) -> None:
    async with api.http.ws_connect(api.url + "/v1/events") as socket:
        closing = asyncio.create_task(common.close_streams(api.app))
        async with asyncio.timeout(5):
            await socket.receive()
            await closing
        assert socket.close_code == 1001
