"""What one caller can make the daemon hold in memory is bounded."""

from __future__ import annotations

import asyncio
import base64
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api, open_api
from zapwire.api.v1 import events
from zapwire.model.errors import TooMany
from zapwire.runtime.one_at_a_time import SerialQueue, SerialThread
from zapwire.store.journal_tail import JournalTail
from zapwire.vault import bundle
from zapwire.vault.bundle import WrongPassphrase

IMPORT = {"bundle": base64.b64encode(b"x").decode(), "passphrase": "a long enough passphrase"}


async def test_passphrases_are_stretched_one_at_a_time_and_never_more_than_a_few_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, go_on, begun = 0, 0, threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(20)
        under_way -= 1
        raise WrongPassphrase("the passphrase is wrong")

    monkeypatch.setattr(bundle, "unpack", slow)
    waiting = [asyncio.create_task(api.raw("POST", "/v1/bots/import", json=IMPORT)) for _ in range(24)]
    async with asyncio.timeout(20):
        await begun.wait()
        refused = [await one for one in await first(waiting, 24 - 16)]
        # the threads of everybody else are free: names are looked up, drawings are made
        assert await asyncio.to_thread(lambda: True)
        go_on.set()
        answers = [await one for one in waiting]
    assert {(status, "Retry-After" in headers) for status, headers, _ in refused} == {(429, True)}
    assert sorted(status for status, _, _ in answers) == [422] * 16 + [429] * 8
    assert most == 1


async def first(tasks: list[asyncio.Task[Any]], count: int) -> list[asyncio.Task[Any]]:
    """The first ones that are done."""
    done: set[asyncio.Task[Any]] = set()
    while len(done) < count:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
    return [*done]


async def test_an_export_that_has_to_wait_too_long_leaves_the_bot_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.connected("shop")
    export = {"passphrase": "a long enough passphrase", "move": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            api.core.transfer._stretching, "_queue", SerialQueue("exports and imports", most=0, retry_after=5)
        )
        status, headers, _ = await api.raw("POST", "/v1/bots/shop/export", json=export)
    assert (status, headers["Retry-After"]) == (429, "5")
    assert (await api.call("GET", "/v1/bots/shop"))["state"] == "connected"


async def test_a_queue_lets_so_many_in_and_so_many_wait() -> None:
    queue, inside, go_on = SerialQueue("things", most=3, retry_after=1, at_once=2), 0, asyncio.Event()

    async def use() -> None:
        nonlocal inside
        async with queue.turn():
            inside += 1
            await go_on.wait()
            inside -= 1

    tasks = [asyncio.create_task(use()) for _ in range(4)]
    with pytest.raises(TooMany):
        await tasks[3]
    assert inside == 2
    tasks[2].cancel()
    await asyncio.wait([tasks[2]])
    tasks.append(asyncio.create_task(use()))
    go_on.set()
    await asyncio.gather(tasks[0], tasks[1], tasks[4])
    assert inside == 0


async def test_who_is_cancelled_in_the_queue_leaves_the_turn_to_others() -> None:
    work, hold = SerialThread("things", most=2, retry_after=1), threading.Event()
    one = asyncio.create_task(work.run(hold.wait, 20))
    two = asyncio.create_task(work.run(int, "2"))
    await asyncio.sleep(0)
    two.cancel()
    hold.set()
    assert await one
    assert await work.run(int, "3") == 3


async def test_a_page_ends_at_some_megabytes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LARGEST_PAGE", 5000)
    transport = await api.connected("shop")
    for number in range(60):
        await transport.receive("x" * (7000 if number == 20 else 300), number)
    texts, after, pages = [], 0, 0
    last = await api.core.subscriptions.last_seq()
    while after < last:
        _, _, body = await api.raw("GET", f"/v1/events?limit=1000&after={after}")
        page = await api.call("GET", f"/v1/events?limit=1000&after={after}")
        assert len(body) < 5500 or len(page["events"]) == 1
        texts += [event["data"]["id"] for event in page["events"] if event["type"] == "message.received"]
        assert page["next_after"] > after
        after, pages = page["next_after"], pages + 1
    assert (len(texts), len(set(texts))) == (60, 60)
    assert pages > 5


async def test_a_page_has_as_many_events_as_it_may(api: Api) -> None:
    transport = await api.connected("shop")
    for number in range(130):
        await transport.receive("hi", number)
    for limit in (1, 50, 51, 100, 120):
        page = await api.call("GET", f"/v1/events?types=message.received&limit={limit}")
        assert len(page["events"]) == limit
        assert page["next_after"] == page["events"][-1]["seq"]
    page = await api.call("GET", "/v1/events?types=message.received&limit=1000")
    assert (len(page["events"]), page["next_after"]) == (130, page["last_seq"])


async def test_events_in_memory_are_bounded_in_size(tmp_path: Path) -> None:
    async for api in open_api(tmp_path):
        tail = JournalTail(0, kept_size=10_000)
        api.core.database.tail = tail
        transport = await api.connected("shop")
        for number in range(40):
            await transport.receive("x" * 1000, number)
            assert sum(event.size for event in tail._events) == tail._size <= 10_000
        assert tail.after(tail.last_seq - 2)
        assert tail.after(1) is None, "the older ones are read from the database"
        tail.forget(next(iter(tail._events)).bot, before=tail.last_seq + 1)
        assert (tail._size, len(tail._events)) == (0, 0)
