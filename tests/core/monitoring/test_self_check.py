"""The daemon's own health: who is fed, what is told."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import Failing, ScriptedTransports, World, registered, world
from tests.harness.descriptors import no_descriptor_left
from zapwire.core.monitoring.self_check import LoopGuard, SelfCheck
from zapwire.model.errors import StoreError
from zapwire.runtime import systemd
from zapwire.runtime.process import Process


class Engine(ScriptedTransports):
    """One whose engine can hang."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = asyncio.Event()
        self.alive.set()
        self.calls = 0

    async def answers(self) -> None:
        await self.alive.wait()

    def stuck(self) -> int:
        return self.calls


class Watched:
    def __init__(self, at: World, **more: Any) -> None:
        self.fed = 0
        self.engine = Engine()
        self.self_check = SelfCheck(at.database, registered(self.engine), well=self.feed, patience=0.05, **more)
        self.at = at

    def feed(self) -> None:
        self.fed += 1

    def be_patient(self) -> None:
        """From now on everything answers, however slow the machine is."""
        self.self_check._patience = 30

    async def told(self) -> list[tuple[str, str]]:
        return [(event.data["kind"], event.data["state"]) for event in await self.at.events("daemon.alert")]


async def test_only_what_answers_feeds_the_watchdog(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        watched = Watched(at)
        watched.be_patient()
        await watched.self_check.round()
        assert (watched.fed, watched.self_check.alerts) == (1, {})
        watched.engine.alive.clear()
        watched.self_check._patience = 0.05
        await watched.self_check.round()
        assert watched.fed == 1
        assert set(watched.self_check.alerts) == {"engine"}
        watched.engine.alive.set()
        watched.be_patient()
        await watched.self_check.round()
        assert watched.fed == 2
        assert await watched.told() == [("engine", "raised"), ("engine", "cleared")]


async def test_a_database_that_hangs_starves_the_watchdog(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        watched = Watched(at)
        plain, forever = at.database.write, asyncio.Event()

        async def hang(work: Any) -> Any:
            await forever.wait()
            return await plain(work)

        at.database.write = hang  # type: ignore[method-assign]
        await watched.self_check.round()
        assert watched.fed == 0
        at.database.write = plain  # type: ignore[method-assign]
        watched.be_patient()
        await watched.self_check.round()
        assert watched.fed == 1
        assert await watched.told() == [("database", "raised"), ("database", "cleared")]


async def test_a_full_disk_is_an_answer_and_is_told_when_it_can_be(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        watched = Watched(at)
        disk = Failing(at.database, broken=True)
        await watched.self_check.round()
        await watched.self_check.round()
        assert watched.fed == 2
        assert "disk is full" in watched.self_check.alerts["database"]
        disk.broken = False
        await watched.self_check.round()
        assert await watched.told() == [("database", "raised"), ("database", "cleared")]


async def test_what_cannot_be_told_is_kept_within_bounds(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        watched = Watched(at)
        disk = Failing(at.database, broken=True)
        for number in range(150):
            watched.engine.calls = number % 2
            await watched.self_check.round()
        assert len(watched.self_check._untold) == 100
        disk.broken = False
        await watched.self_check.round()
        told = await watched.told()
        assert len(told) == 100


async def test_a_refusal_counts_as_an_answer_whatever_its_words_are(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        watched = Watched(at)

        async def refuse(work: Any) -> Any:
            raise StoreError("the disk does not answer")

        at.database.write = refuse  # type: ignore[method-assign]
        await watched.self_check.round()
        assert (watched.fed, watched.self_check.alerts) == (1, {"database": "the disk does not answer"})


async def test_a_daemon_without_a_descriptor_left_says_so_and_is_fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        async with world(tmp_path / "db") as at:
            watched = Watched(at)
            watched.self_check._well = partial(systemd.notify, "WATCHDOG=1")
            await watched.self_check.round()
            assert manager.recv(100) == b"WATCHDOG=1"
            with no_descriptor_left():
                await watched.self_check.round()
                most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            assert manager.recv(100) == b"WATCHDOG=1"
            assert watched.self_check.alerts == {"descriptors": f"{most} of {most} descriptors are open"}
            await watched.self_check.round()
            assert await watched.told() == [("descriptors", "raised"), ("descriptors", "cleared")]


async def test_a_look_that_fails_is_told_and_the_next_one_comes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with world(tmp_path / "db") as at:
        looks = 0
        done = asyncio.Event()

        def each(_: Process) -> None:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise RuntimeError("an internal error")
            done.set()

        async with Watched(at, each=each).self_check, asyncio.timeout(20):
            await done.wait()
    assert "the look at the daemon's health failed" in caplog.text


async def test_calls_that_never_return_are_told(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        watched = Watched(at)
        watched.engine.calls = 3
        await watched.self_check.round()
        assert "3 calls" in watched.self_check.alerts["engine"]
        assert watched.fed == 1, "other calls still answer"


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_database_that_is_taken_away_is_told(tmp_path: Path, how: str):
    async with world(tmp_path / "db") as at:
        watched = Watched(at, files=(tmp_path / "db",))
        await watched.self_check.round()
        (tmp_path / "db").rename(tmp_path / "away")
        if how == "replaced":
            (tmp_path / "db").write_bytes((tmp_path / "away").read_bytes())
        await watched.self_check.round()
        assert "deleted or replaced" in watched.self_check.alerts["files"]
        assert await watched.told() == [("files", "raised")]


async def test_a_standing_event_loop_is_told_with_where_it_stands(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    guard = LoopGuard(every=0.01, stalled=0.2)
    guard.start()
    try:
        await asyncio.sleep(0.05)
        time.sleep(0.5)  # noqa: ASYNC251 - this is the fault
        await asyncio.sleep(0.05)
    finally:
        guard.stop()
    assert guard.worst() > 0.4
    assert guard.worst() == 0
    assert "test_a_standing_event_loop" in caplog.text


async def test_growth_is_measured_from_when_the_daemon_had_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from zapwire.core.monitoring import self_check  # noqa: PLC0415
    from zapwire.runtime.process import Process  # noqa: PLC0415

    now = Process(resident=200 << 20, cpu=0, descriptors=300, descriptors_most=100_000, threads=1)
    monkeypatch.setattr(self_check, "process", lambda: now)
    async with world(tmp_path / "db") as at:
        watched = Watched(at)
        await watched.self_check.round()
        monkeypatch.setattr(self_check, "SETTLED", 0.0)
        await watched.self_check.round()
        now = Process(resident=500 << 20, cpu=0, descriptors=700, descriptors_most=800, threads=1)
        await watched.self_check.round()
        assert set(watched.self_check.alerts) == {"memory", "leak", "descriptors"}
        assert "from 200 to 500 MB" in watched.self_check.alerts["memory"]
