"""Work in threads, and who waits for it."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.core.scripted import eventually
from zapwire.runtime.file_threads import in_file_thread_to_end, open_in_file_thread, write_all


async def test_whoever_is_cancelled_waits_until_the_thread_has_ended() -> None:
    began, end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        end.wait(10)
        ended.set()

    task = asyncio.ensure_future(in_file_thread_to_end(work))
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done(), "its descriptor would be closed under the thread"
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_failure_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_file_thread_to_end(divmod, 1, 0)


def test_all_is_written_however_little_one_call_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data)[:3]))
    file = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    write_all(file, b"0123456789")
    os.close(file)
    assert (tmp_path / "x").read_bytes() == b"0123456789"


async def test_whoever_is_cancelled_while_a_file_is_opened_leaves_none_open(tmp_path: Path) -> None:
    go_on, opened = threading.Event(), list[int]()

    def slow() -> int:
        go_on.wait()
        opened.append(os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR))
        return opened[0]

    opening = asyncio.create_task(open_in_file_thread(slow))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    await eventually(lambda: opened and not Path(f"/proc/self/fd/{opened[0]}").exists())


async def test_who_is_cancelled_twice_still_waits_for_the_end() -> None:
    go_on, ended = threading.Event(), list[str]()

    def work() -> None:
        go_on.wait()
        ended.append("work")

    working = asyncio.create_task(in_file_thread_to_end(work))
    for _ in range(3):
        await asyncio.sleep(0)
        working.cancel()
    await asyncio.sleep(0)
    assert not working.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended == ["work"]
