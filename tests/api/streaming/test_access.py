"""Whoever is let in stays in only as long as the token is good, and takes a place only with one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.api.conftest import TOKEN, Api
from tests.api.streaming.test_event_streams import source
from tests.harness.daemon import Daemon
from zapwire.api.http.lifetimes import ENDINGS
from zapwire.api.streaming import common, websocket
from zapwire.core.bots.bot import Bot
from zapwire.model.errors import StoreError

SOON = 1.5
"""A second, and something for a machine that is busy."""


@pytest_asyncio.fixture
async def victim(api: Api) -> AsyncIterator[Api]:
    """The API as somebody sees it whose token will be revoked."""
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    _, secret = await api.core.tokens.create("victim")
    api.headers = {"Authorization": f"Bearer {secret}"}
    yield api


async def close_of(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    """Code and reason of the close frame that comes."""
    async with asyncio.timeout(SOON):
        message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.CLOSE, message
    return message.data, str(message.extra)


async def test_a_revoked_token_ends_its_streams_and_no_others(victim: Api) -> None:
    url, secret = victim.url + "/v1/events", victim.headers["Authorization"].removeprefix("Bearer ")
    async with (
        victim.http.ws_connect(url, headers=victim.headers) as by_header,
        victim.http.ws_connect(url) as by_message,
        source(victim) as sse,
        victim.http.ws_connect(url, headers={"X-Api-Key": TOKEN}) as other,
    ):
        await by_message.send_json({"token": secret})
        await sse.block()
        victim.app[common.STREAMS]._most = 5
        await until_open(victim, 4)
        await victim.core.tokens.revoke("victim")
        last = await victim.core.subscriptions.last_seq()
        for closed in (by_header, by_message):
            assert await close_of(closed) == (4401, f"the token was revoked: resume with after={last}")
        async with asyncio.timeout(SOON):
            fields = await sse.block()
            assert await sse.block() == {}, "the answer ends"
        assert (fields["event"], "id" in fields) == ("stream.problem", False)
        assert json.loads(fields["data"])["code"] == "unauthorized"
        await victim.core.bots.get("shop").connect()
        assert (await other.receive_json(timeout=5))["bot"] == "shop"


async def until_open(api: Api, count: int) -> None:
    async with asyncio.timeout(5):
        while len(api.app[ENDINGS]._open) < count:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def room(request: pytest.FixtureRequest) -> None:
    """Room for one more stream than the other tests have."""
    if "api" in request.fixturenames:
        request.getfixturevalue("api").app[common.STREAMS]._most = 5


async def test_a_revoked_token_ends_the_calls_that_wait(victim: Api) -> None:
    sent = await victim.call("POST", "/v1/bots/shop/messages", {"to": "+4915100000002", "text": "hi"})
    after = await victim.core.subscriptions.last_seq()
    path = f"/v1/bots/shop/messages/{sent['id']}"
    calls = [
        victim.ask("GET", f"/v1/events?after={after}&wait=60"),
        victim.ask("GET", f"{path}?wait=60"),
        victim.ask("POST", "/v1/bots/shop/messages?wait=60", {"to": "+4915100000002", "text": "ho"}),
    ]
    waiting = [asyncio.create_task(call) for call in calls]
    await until_open(victim, 3)
    await victim.core.tokens.revoke("victim")
    async with asyncio.timeout(SOON):
        (events, _), (message, _), (sending, told) = await asyncio.gather(*waiting)
    assert (events, message) == (401, 401)
    assert (sending, told["state"]) == (202, "queued"), "it was taken: an error would have it sent twice"


async def test_a_revoked_token_ends_the_wait_for_a_code(victim: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Bot, "qr", never)
    waiting = asyncio.create_task(victim.ask("GET", "/v1/bots/shop/qr?wait=60"))
    await until_open(victim, 1)
    await victim.core.tokens.revoke("victim")
    async with asyncio.timeout(SOON):
        assert (await waiting)[0] == 401


async def test_a_database_that_cannot_be_read_ends_no_stream(victim: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()

    async def refuse(*_: object) -> set[bytes]:
        looked.set()
        raise StoreError("the disk is gone")

    monkeypatch.setattr(victim.core.tokens, "still_good", refuse)
    async with victim.http.ws_connect(victim.url + "/v1/events", headers=victim.headers) as follower:
        async with asyncio.timeout(5):
            await looked.wait()
        await victim.core.bots.get("shop").connect()
        assert (await follower.receive_json(timeout=5))["bot"] == "shop"


async def test_the_command_line_ends_the_streams_of_a_running_daemon(tmp_path: Path) -> None:
    """Another process revokes: nothing tells this one but the database."""
    async with Daemon(tmp_path) as daemon, aiohttp.ClientSession(daemon.url) as http:
        made = await zapwire(daemon, "token", "create", "victim")
        secret = next(word for word in made.split() if word.startswith("zw_"))
        async with http.ws_connect("/v1/events", headers={"X-Api-Key": secret}) as follower:
            await zapwire(daemon, "token", "revoke", "victim")
            assert (await close_of(follower))[0] == 4401


async def zapwire(daemon: Daemon, *words: str) -> str:
    environment = {**os.environ, "ZAPWIRE_SESSIONS_DIR": str(daemon.folder / "sessions")}
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zapwire", *words), env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await made.communicate()
    assert made.returncode == 0
    return out.decode()


async def test_who_has_not_said_a_token_takes_no_place(api: Api) -> None:
    api.app[common.STREAMS]._most = 1
    async with AsyncExitStack() as stack:
        mute = [
            await stack.enter_async_context(api.http.ws_connect(api.url + "/v1/events"))
            for _ in range(common.STRANGERS + 5)
        ]
        async with source(api) as follower:
            assert await follower.block()
            for crowded_out in mute[:5]:
                assert (await close_of(crowded_out))[0] == 4401
            await mute[-1].send_json({"token": TOKEN})
            assert (await close_of(mute[-1])) == (1013, "the setting max_streams is reached")
        async with asyncio.timeout(5):
            await api.app[common.STREAMS].none_left()
        await mute[-2].send_json({"token": TOKEN})
        await until_open(api, 1)
        await api.core.bots.create("shop")
        assert (await mute[-2].receive_json(timeout=5))["bot"] == "shop"


async def test_somebody_whose_time_is_over_in_this_very_turn_harms_no_newcomer() -> None:
    made, ends = common.Streams(1), []

    async def come(wait: float) -> None:
        try:
            async with made.stranger(wait):
                await asyncio.Event().wait()
        except TimeoutError:
            ends.append(wait)

    waiting = [asyncio.create_task(come(wait)) for wait in (0, *range(100, 99 + common.STRANGERS))]
    while not next(iter(made._strangers.values()), asyncio.timeout(None)).expired():  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(0)
    async with made.stranger(100):
        await asyncio.wait(waiting[:1])
    assert ends == [0]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_a_token_has_to_be_said_soon(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "AUTH_WAIT", 0.1)
    async with api.http.ws_connect(api.url + "/v1/events") as mute:
        assert (await close_of(mute))[0] == 4401
