"""The other two ways to the same events: Server-Sent Events, and pages that wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.api.conftest import Api
from tests.api.v1.test_events import show_codes
from zapwire.api.streaming import common, sse


class Source:
    """Blocks of an event stream, as a browser reads them."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def block(self) -> dict[str, str]:
        """The next block's fields, a comment under the empty name; empty at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := (await self.answer.content.readline()).decode():
                if line == "\n":
                    return fields
                name, _, value = line.rstrip("\n").partition(":")
                fields[name] = value.removeprefix(" ")
        return {}

    async def event(self) -> tuple[str, dict[str, Any]]:
        """Type and content of the next event."""
        while "data" not in (fields := await self.block()):
            assert fields, "the stream has ended"
        content = json.loads(fields["data"])
        assert fields["id"] == str(content["seq"])
        return fields["event"], content


@asynccontextmanager
async def source(api: Api, query: str = "", **headers: str) -> AsyncIterator[Source]:
    accept = {"Accept": "text/event-stream", **api.headers, **headers}
    async with api.http.get(f"{api.url}/v1/events{query}", headers=accept) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        yield Source(answer)


async def test_an_event_stream_tells_the_same_events_and_is_resumed_by_the_last_id(api: Api) -> None:
    async with source(api, "?types=bot.qr") as stream:
        first = await stream.block()
        assert (first["retry"], first["id"]) == ("3000", str(await api.core.subscriptions.last_seq()))
        await show_codes(api, "a", "b")
        kind, event = await stream.event()
    assert (kind, event["bot"]) == ("bot.qr", "a")
    await show_codes(api, "c")
    last = {"Last-Event-ID": str(event["seq"])}
    again = source(api, "?types=bot.*&after=0", **last)  # what a browser does when it comes back
    beside = api.http.ws_connect(f"{api.url}/v1/events?after={event['seq']}", headers=api.headers)
    async with again as stream, beside as socket:
        for _ in range(4):
            assert (await stream.event())[1] == await socket.receive_json(timeout=5)
    page = await api.call("GET", f"/v1/events?after={event['seq']}&limit=1")
    async with source(api, f"?after={event['seq']}") as stream:
        assert [(await stream.event())[1]] == page["events"]


async def test_bad_parameters_of_a_stream_are_problems(api: Api) -> None:
    accept = {"Accept": "text/event-stream"}
    for query, headers, field in (
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("?after=99999", {}, "after"),
        ("?limit=1", {}, "limit"),
        ("?wait=1", {}, "wait"),
        ("?types=no.such", {}, "types"),
        ("?types=no.*", {}, "types"),
    ):
        status, _, body = await api.raw("GET", f"/v1/events{query}", headers={**accept, **headers})
        assert (status, json.loads(body)["field"]) == (422, field)
    status, _, _ = await api.raw("GET", "/v1/events", headers={**accept, "Authorization": "Bearer wrong"})
    assert status == 401


async def test_a_quiet_filtered_stream_moves_its_cursor_along(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING", 0.05)
    async with source(api, "?types=message.received") as stream:
        before = int((await stream.block())["id"])
        await show_codes(api, "a")
        async with asyncio.timeout(5):
            while int((block := await stream.block())["id"]) == before:
                assert block[""] == "ping"
        assert int(block["id"]) <= await api.core.subscriptions.last_seq()


async def test_both_kinds_of_stream_count_and_one_that_is_gone_makes_room(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "LOOK", 0.02)
    accept = {"Accept": "text/event-stream"}
    async with source(api), source(api), api.http.ws_connect(api.url + "/v1/events", headers=api.headers):
        status, problem = await api.ask("GET", "/v1/events", headers=accept)
        assert (status, problem["code"]) == (503, "too-many-streams")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await api.http.ws_connect(api.url + "/v1/events", headers=api.headers)
    async with asyncio.timeout(5):
        await api.app[common.STREAMS]._none_left.wait()
    async with source(api) as stream:
        assert await stream.block()


async def test_a_stream_that_nobody_reads_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "SLOW", 0.2)
    cut = asyncio.Event()
    monkeypatch.setattr(sse.logger, "warning", lambda *_, **__: cut.set())
    transport = await api.connected("shop")
    async with source(api, "?types=message.received") as stream:
        for number in range(200):
            await transport.receive("x" * 60_000, number)
        async with asyncio.timeout(20):
            await cut.wait()
        seqs = []
        with contextlib.suppress(aiohttp.ClientError):
            while fields := await stream.block():
                seqs.append(fields.get("id"))
    assert len(seqs) < 200
    async with source(api, f"?after={seqs[-1]}&types=message.received") as stream:
        rest = [(await stream.event())[1]["data"]["id"] for _ in range(201 - len(seqs))]
    assert len(set(rest)) == len(rest)


async def test_a_page_waits_for_its_first_event(api: Api) -> None:
    after = await api.core.subscriptions.last_seq()
    waiting = asyncio.create_task(api.call("GET", f"/v1/events?after={after}&wait=30&types=bot.qr"))
    await show_codes(api, "a")
    async with asyncio.timeout(10):
        page = await waiting
    assert [event["bot"] for event in page["events"]] == ["a"]
    nothing = await api.call("GET", f"/v1/events?after={page['next_after']}&wait=0.05&types=message.received")
    assert (nothing["events"], nothing["next_after"] >= page["next_after"]) == ([], True)
    assert (await api.ask("GET", "/v1/events?wait=-1"))[1]["field"] == "wait"


async def test_streams_and_waiting_pages_end_with_the_daemon(api: Api) -> None:
    after = await api.core.subscriptions.last_seq()
    waiting = asyncio.create_task(api.call("GET", f"/v1/events?after={after}&wait=30"))
    async with source(api) as stream:
        await stream.block()
        async with asyncio.timeout(5):
            await common.close_streams(api.app)
            assert await waiting == {"events": [], "next_after": after, "last_seq": after, "gap": None}
            assert await stream.block() == {"": "zapwire stops"}
            assert await stream.block() == {}


async def test_what_was_pruned_is_told_everywhere(api: Api) -> None:
    await show_codes(api, "a", "b")
    events = (await api.call("GET", "/v1/events"))["events"]
    floor, last = events[2]["seq"], events[-1]["seq"]
    api.core.database.tail._floor = last  # as after a restart
    await api.core.database.write(lambda transaction: transaction.journal.prune(floor))
    gap = {"from": 2, "to": floor}
    page = await api.call("GET", "/v1/events?after=1")
    assert page["gap"] == gap
    assert [event["seq"] for event in page["events"]] == list(range(floor + 1, last + 1))
    async with api.http.ws_connect(f"{api.url}/v1/events?after=1&types=bot.qr", headers=api.headers) as socket:
        told = await socket.receive_json(timeout=5)
        assert (told["type"], told["seq"], told["data"]) == ("stream.gap", floor, gap)
        assert (await socket.receive_json(timeout=5))["seq"] > floor
    async with source(api, "?after=1") as stream:
        kind, told = await stream.event()
        assert (kind, told["data"]) == ("stream.gap", gap)
        assert (await stream.event())[1]["seq"] == floor + 1
    for query in (f"?after={floor}", ""):
        assert (await api.call("GET", f"/v1/events{query}"))["gap"] is None
