"""How the run before ended, and when it is time to renew the program."""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from zapwire.daemon.self_restart import RestartPolicy
from zapwire.runtime import systemd
from zapwire.runtime.process import Process
from zapwire.runtime.run_marker import RunMarker, Unreadable, databases


def test_the_marker_tells_how_the_last_run_ended(tmp_path: Path):
    first = RunMarker.begin(tmp_path, tmp_path / "zapwire.db")
    assert first.start.reason == "first-start"
    crashed = RunMarker.begin(tmp_path, tmp_path / "zapwire.db")
    assert crashed.start.reason == "crashed"
    assert crashed.start.last_started == first.start.at
    crashed.end("stopped")
    assert RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "stopped"
    RunMarker.begin(tmp_path, tmp_path / "zapwire.db").end("restarted")
    assert RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "restarted"


def test_a_run_before_the_last_boot_was_ended_by_the_machine(tmp_path: Path):
    RunMarker.begin(tmp_path, tmp_path / "zapwire.db")
    marker = tmp_path / "run.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "boot": "another"}))
    assert RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "rebooted"


def test_the_last_sign_of_life_is_when_the_marker_was_touched(tmp_path: Path):
    run = RunMarker.begin(tmp_path, tmp_path / "zapwire.db")
    os.utime(tmp_path / "run.json", (1_000_000, 1_000_000))
    start = RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start
    assert start.last_alive is not None
    assert start.last_alive.timestamp() == 1_000_000
    os.utime(tmp_path / "run.json", (1_000_000, 1_000_000))
    run.touch()
    start = RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start
    assert start.last_alive is not None
    assert start.last_alive.timestamp() > 1_000_000


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"started": "x"}', "[" * 100_000, '{"started": "0001-01-01", "ended": 1, "boot": 2}', "\ud83d"],
)
def test_a_damaged_marker_counts_as_a_crash_and_stops_nothing(tmp_path: Path, damage: str):
    (tmp_path / "run.json").write_text(damage, errors="surrogatepass")
    assert RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "crashed"
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.json").mkdir()  # nothing can be written there
    assert RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "crashed"


def used(resident: int = 0, descriptors: int = 0) -> Process:
    return Process(resident=resident << 20, cpu=0, descriptors=descriptors, descriptors_most=1024, threads=1)


START = datetime(2026, 3, 1, 4, 0, 30).astimezone()


@pytest.mark.parametrize(("at", "hours"), [("04:00", 24 - 0.5 / 60), ("05:00", 1 - 0.5 / 60), ("03:59", 24 - 1.5 / 60)])
def test_the_time_of_day_comes_once_after_the_start(at: str, hours: float):
    restarting = RestartPolicy(START, at=at, rss_mb=None, descriptors=None)
    due = START + timedelta(hours=hours)
    assert restarting.due(due - timedelta(seconds=1), used()) is None
    assert at in (restarting.due(due, used()) or "")


def test_it_waits_for_who_links_a_bot_but_not_for_ever():
    restarting = RestartPolicy(START, at="05:00", rss_mb=None, descriptors=None)
    due = START + timedelta(hours=1)
    assert restarting.due(due, used(), held=True) is None
    assert restarting.due(due + timedelta(seconds=899), used(), held=True) is None
    assert restarting.due(due + timedelta(seconds=900), used(), held=True)
    assert restarting.due(due + timedelta(seconds=1), used(), held=False)
    assert restarting.due(due + timedelta(seconds=901), used(), held=True) is None


def test_a_limit_counts_only_after_a_while():
    restarting = RestartPolicy(START, at=None, rss_mb=100, descriptors=200)
    soon, later = START + timedelta(minutes=9), START + timedelta(minutes=11)
    assert restarting.due(soon, used(1000, 1000)) is None
    assert restarting.due(later, used(100, 200)) is None
    assert "101 MB" in (restarting.due(later, used(101, 0)) or "")
    assert "201 descriptors" in (restarting.due(later, used(0, 201)) or "")


@pytest.mark.parametrize(
    ("micros", "owner", "seconds"),
    [("30000000", "", 30.0), ("30000000", "own", 30.0), ("30000000", "1", None), ("", "", None), ("0", "", None)],
)
def test_the_watchdog_is_ours_or_nobodys(monkeypatch: pytest.MonkeyPatch, micros: str, owner: str, seconds: float):
    monkeypatch.setenv("WATCHDOG_USEC", micros)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if owner == "own" else owner)
    assert systemd.watchdog_seconds() == seconds


def test_every_database_that_is_still_there_is_remembered(tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        (tmp_path / name).touch()
        RunMarker.begin(tmp_path, tmp_path / name).end("stopped")
    assert {path.name for path in databases(tmp_path)} == {"one.db", "two.db"}
    (tmp_path / "one.db").unlink()
    assert {path.name for path in databases(tmp_path)} == {"two.db"}


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"databases": 1}', '{"databases": [1]}', "[" * 100_000])
def test_what_cannot_be_read_is_not_taken_for_no_databases(tmp_path: Path, damage: str) -> None:
    assert databases(tmp_path) == []
    (tmp_path / "run.json").write_text(damage)
    with pytest.raises(Unreadable):
        databases(tmp_path)
    RunMarker.begin(tmp_path, tmp_path / "zapwire.db")


def test_a_database_that_this_user_may_not_look_for_breaks_no_start_and_is_kept_in_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hidden, look = tmp_path / "hidden" / "old.db", Path.stat

    def refusing(path: Path, **more: bool) -> os.stat_result:  # root may look everywhere
        if path == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **more)

    RunMarker.begin(tmp_path, hidden).end("stopped")
    monkeypatch.setattr(Path, "stat", refusing)
    assert RunMarker.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "stopped"
    assert caplog.text.count("\n") == 1
    assert f"may not look whether {hidden}" in caplog.text
    assert databases(tmp_path) == [hidden]


def test_the_marker_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def syncing(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renaming(path: Path, to: Path) -> Path:
        steps.append("name")
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "rename", renaming)
    RunMarker.begin(tmp_path, tmp_path / "zapwire.db")
    assert steps == ["file", "name", "folder"]
