"""How the run before ended, and when it is time to renew the program."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from zapwire import systemd
from zapwire.core.process import Process
from zapwire.recycling import Recycling
from zapwire.runs import Run, databases


def test_the_marker_tells_how_the_last_run_ended(tmp_path: Path):
    first = Run.begin(tmp_path, tmp_path / "zapwire.db")
    assert first.start.reason == "first-start"
    crashed = Run.begin(tmp_path, tmp_path / "zapwire.db")
    assert crashed.start.reason == "crashed"
    assert crashed.start.last_started == first.start.at
    crashed.end("stopped")
    assert Run.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "stopped"
    Run.begin(tmp_path, tmp_path / "zapwire.db").end("recycled")
    assert Run.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "recycled"


def test_a_run_before_the_last_boot_was_ended_by_the_machine(tmp_path: Path):
    Run.begin(tmp_path, tmp_path / "zapwire.db")
    marker = tmp_path / "run.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "boot": "another"}))
    assert Run.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "rebooted"


def test_the_last_sign_of_life_is_when_the_marker_was_touched(tmp_path: Path):
    run = Run.begin(tmp_path, tmp_path / "zapwire.db")
    os.utime(tmp_path / "run.json", (1_000_000, 1_000_000))
    start = Run.begin(tmp_path, tmp_path / "zapwire.db").start
    assert start.last_alive is not None
    assert start.last_alive.timestamp() == 1_000_000
    os.utime(tmp_path / "run.json", (1_000_000, 1_000_000))
    run.touch()
    start = Run.begin(tmp_path, tmp_path / "zapwire.db").start
    assert start.last_alive is not None
    assert start.last_alive.timestamp() > 1_000_000


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"started": "x"}'])
def test_a_damaged_marker_counts_as_a_crash_and_stops_nothing(tmp_path: Path, damage: str):
    (tmp_path / "run.json").write_text(damage)
    assert Run.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "crashed"
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.json").mkdir()  # nothing can be written there
    assert Run.begin(tmp_path, tmp_path / "zapwire.db").start.reason == "crashed"


def used(resident: int = 0, descriptors: int = 0) -> Process:
    return Process(resident=resident << 20, cpu=0, descriptors=descriptors, descriptors_most=1024, threads=1)


START = datetime(2026, 3, 1, 4, 0, 30).astimezone()


@pytest.mark.parametrize(("at", "hours"), [("04:00", 24 - 0.5 / 60), ("05:00", 1 - 0.5 / 60), ("03:59", 24 - 1.5 / 60)])
def test_the_time_of_day_comes_once_after_the_start(at: str, hours: float):
    recycling = Recycling(START, at=at, rss_mb=None, descriptors=None)
    due = START + timedelta(hours=hours)
    assert recycling.due(due - timedelta(seconds=1), used()) is None
    assert at in (recycling.due(due, used()) or "")


def test_a_limit_counts_only_after_a_while():
    recycling = Recycling(START, at=None, rss_mb=100, descriptors=200)
    soon, later = START + timedelta(minutes=9), START + timedelta(minutes=11)
    assert recycling.due(soon, used(1000, 1000)) is None
    assert recycling.due(later, used(100, 200)) is None
    assert "101 MB" in (recycling.due(later, used(101, 0)) or "")
    assert "201 descriptors" in (recycling.due(later, used(0, 201)) or "")


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
        Run.begin(tmp_path, tmp_path / name).end("stopped")
    assert {path.name for path in databases(tmp_path)} == {"one.db", "two.db"}
    (tmp_path / "one.db").unlink()
    assert {path.name for path in databases(tmp_path)} == {"two.db"}
