"""Names that are not answered stop only those that need them."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.core.receiver import receiver
from tests.core.scripted import QUICK, text, world
from tests.core.webhooks.test_endpoints import connected, person
from zapwire.core.network import dns
from zapwire.core.network.dns import Resolver


@dataclass
class Server:
    """A name server that knows one name, and never answers for others."""

    asked: list[str] = field(default_factory=list)
    blocked: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)
    dead: bool = False

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if self.dead or host != "good.example":
            self.blocked += 1
            self.go_on.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 2)),
        ]


@contextmanager
def server() -> Iterator[Server]:
    one = Server()
    try:
        yield one
    finally:
        one.go_on.set()


async def test_a_name_is_asked_for_once_and_kept_for_a_moment():
    with server() as asked:
        looked_up = Resolver(asked.getaddrinfo)
        first, second = await asyncio.gather(*(looked_up.addresses("good.example") for _ in range(2)))
        assert first == second == ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "fe80::1%2"))
        assert await looked_up.addresses("good.example") == first
        assert asked.asked == ["good.example"]
        [found] = await looked_up.resolve("good.example", 80, socket.AF_INET)
        assert (found["hostname"], found["host"], found["port"]) == ("good.example", "127.0.0.1", 80)
        assert await looked_up.addresses("::1") == ((socket.AF_INET6, "::1"),)
        assert asked.asked == ["good.example"]


async def test_an_answer_from_before_stands_in_while_there_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dns, "FRESH", 0.0)
    monkeypatch.setattr(dns, "PATIENCE", 0.01)
    with server() as asked:
        looked_up = Resolver(asked.getaddrinfo)
        before = await looked_up.addresses("good.example")
        asked.dead = True
        assert await looked_up.addresses("good.example") == before
        assert asked.blocked == 1
        monkeypatch.setattr(dns, "STALE", 0.0)
        monkeypatch.setattr(dns, "DEADLINE", 0.01)
        with pytest.raises(OSError, match="timed out") as caught:
            await looked_up.addresses("good.example")
        assert caught.value.errno == errno.ETIMEDOUT
        assert asked.blocked == 1, "a thread for each name"


async def test_a_name_for_which_there_was_no_thread_is_looked_up_the_next_time(monkeypatch: pytest.MonkeyPatch):
    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    with server() as asked:
        looked_up = Resolver(asked.getaddrinfo)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(OSError, match="no thread"):
                await looked_up.addresses("good.example")
        async with asyncio.timeout(5):
            assert await looked_up.addresses("good.example")


async def test_names_that_were_not_answered_take_at_most_half_of_the_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dns, "THREADS", 4)
    monkeypatch.setattr(dns, "DEADLINE", 0.01)
    with server() as asked:
        looked_up = Resolver(asked.getaddrinfo)
        for number in range(3):
            with pytest.raises(OSError, match="timed out"):
                await looked_up.addresses(f"dead{number}.example")
        asked.go_on.set()
        while looked_up._asking:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
        asked.go_on.clear()
        for number, error in enumerate(("timed out", "timed out", "too many")):
            with pytest.raises(OSError, match=error):
                await looked_up.addresses(f"dead{number}.example")
        assert (await looked_up.addresses("good.example"))[0][1] == "127.0.0.1"


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "\udc00", "a\0b"])
async def test_what_is_no_name_is_an_error_like_others(host: str):
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        await Resolver().addresses(host)


async def test_webhooks_with_dead_names_hold_up_nobody_else(tmp_path: Path):
    with server() as asked:
        async with (
            receiver() as hook,
            world(tmp_path / "db", linked=True, limits=QUICK, names=Resolver(asked.getaddrinfo)) as at,
        ):
            await connected(at)
            for number in range(20):
                await asyncio.wait_for(create(at, f"http://dead{number}.example/"), 20)
            await at.core.endpoints.create(f"http://good.example:{hook.port}/hook", events=["message.received"])
            for number in range(10):
                await at.tell("bot", text(f"A{number}", chat=person(number)))
            await hook.until(lambda: len(hook.taken) == 10)
            await asyncio.get_running_loop().getaddrinfo("127.0.0.1", None)  # the threads that all share are free
            assert asked.blocked >= 20
            assert not asked.go_on.is_set()


async def create(at: Any, url: str) -> None:
    at.core.endpoints._allow = allow  # what asks the name server takes as long as that may
    await at.core.endpoints.create(url, events=["message.received"])


async def allow(host: str) -> None:
    """Let everything through."""
