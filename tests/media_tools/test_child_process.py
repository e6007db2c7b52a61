"""Children from the daemon's side: how many there are, how they end, what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.media_tools import making
from zapwire.media_tools import child_process, installed
from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.limits import Limits
from zapwire.media_tools.tools import MediaTools
from zapwire.model.errors import NotSupported, TooMany
from zapwire.runtime.tasks import Tasks


def children() -> list[int]:
    """The children that decode media, of this process."""
    return children_of(os.getpid())


def children_of(parent: int) -> list[int]:
    found = []
    for task in Path("/proc", str(parent), "task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            continue
        for pid in pids:
            try:
                told = Path("/proc", pid, "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if child_process.MODULE.encode() in told:
                found.append(int(pid))
    return found


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names are what is wanted


async def until_children(number: int) -> list[int]:
    while len(found := children()) != number:  # noqa: ASYNC110 - nothing tells of a process that begins
        await asyncio.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def long() -> bytes:
    """A video that takes many seconds to convert."""
    return making.video("avi", "mpeg4", size=(1280, 720), seconds=15)


async def test_cancelling_ends_the_child_and_leaves_nothing_open(long: bytes) -> None:
    with making.given(long) as descriptor:
        await MediaTools().inspect(descriptor, "video")  # what is opened once and kept
        before = descriptors()
        task = asyncio.ensure_future(MediaTools().to_mp4(descriptor))
        (child,) = await until_children(1)
        os.kill(child, signal.SIGSTOP)  # it does not end by itself
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not Path("/proc", str(child)).exists()
        assert descriptors() == before


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_cancelling_while_a_child_starts_ends_it(long: bytes, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def cancelled(descriptor: int, turns: int) -> None:
        task = asyncio.ensure_future(MediaTools().to_mp4(descriptor))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert children() == []

    with making.given(long) as descriptor, asyncio.Runner(loop_factory=loop) as runner:
        for turns in range(12):
            runner.run(cancelled(descriptor, turns))


@pytest.mark.parametrize(
    ("number", "fault"), [(signal.SIGSEGV, MediaFault.CRASHED), (signal.SIGKILL, MediaFault.OUT_OF_MEMORY)]
)
async def test_a_child_that_dies_is_told_of(long: bytes, number: signal.Signals, fault: MediaFault) -> None:
    with making.given(long) as descriptor:
        task = asyncio.ensure_future(MediaTools().to_mp4(descriptor))
        (child,) = await until_children(1)
        os.kill(child, number)
        with pytest.raises(InvalidMedia) as refused:
            await task
    assert refused.value.fault is fault


async def test_a_child_that_does_not_end_is_ended(long: bytes) -> None:
    with making.given(long) as descriptor:
        task = asyncio.ensure_future(MediaTools(limit=Limits(wall=1.0)).to_mp4(descriptor))
        (child,) = await until_children(1)
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(InvalidMedia) as refused:
            await task
    assert refused.value.fault is MediaFault.TIMED_OUT
    assert not Path("/proc", str(child)).exists()


WAITS = """
import asyncio, os, sys
from zapwire.media_tools.tools import MediaTools
asyncio.run(MediaTools().to_mp4(int(sys.argv[1])))
"""


async def test_a_child_ends_with_the_daemon(long: bytes) -> None:
    with making.given(long) as descriptor:
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", WAITS, str(descriptor), pass_fds=[descriptor]
        )
        while not (found := children_of(daemon.pid)):  # noqa: ASYNC110 - nothing tells of a process that begins
            await asyncio.sleep(0.01)
        while not is_confined(found[0]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        try:
            os.kill(found[0], signal.SIGSTOP)  # it does not end by itself
            os.kill(daemon.pid, signal.SIGKILL)
            await daemon.wait()
            while is_running(found[0]):  # noqa: ASYNC110 - nor of one that ends and is not ours
                await asyncio.sleep(0.01)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)


def is_confined(pid: int) -> bool:
    return Path("/proc", str(pid), "oom_score_adj").read_text() == "1000\n"


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path("/proc", str(pid), "status").read_text()
    except OSError:
        return False


WRITES = """
import json, os, sys
try:
    os.write(json.loads(sys.argv[1])["input"], b"mine")
except OSError:
    print('{"facts": {"mime_type": "image/refused"}}')
"""


async def test_a_child_cannot_change_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "writes.py").write_text(WRITES)
    monkeypatch.setattr(child_process, "MODULE", "writes")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with making.given(b"given") as descriptor:
        assert (await MediaTools().inspect(descriptor, "image")).mime_type == "image/refused"
        assert os.pread(descriptor, 100, 0) == b"given"


async def test_two_at_a_time_some_wait_and_the_next_is_refused(long: bytes) -> None:
    tools, tasks = MediaTools(at_once=2, waiting=1), Tasks()
    with making.given(long) as descriptor:
        for _ in range(3):
            tasks.spawn(tools.to_mp4(descriptor), "converting", awaited=True)
        await until_children(2)
        with pytest.raises(TooMany) as refused:
            await tools.inspect(descriptor, "video")
        assert refused.value.retry_after
        assert len(children()) == 2
        await tasks.cancel()
        assert children() == []
        assert (await tools.inspect(descriptor, "video")).width == 1280


async def test_the_loop_goes_on_while_children_work(long: bytes) -> None:
    with making.given(long) as descriptor:
        task = asyncio.ensure_future(MediaTools().to_mp4(descriptor))
        (child,) = await until_children(1)
        os.kill(child, signal.SIGSTOP)  # it does not end by itself
        assert (await MediaTools().inspect(descriptor, "video")).height == 720
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_child_gets_nothing_of_the_daemons_environment(long: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAPWIRE_MASTER_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    with making.given(long) as descriptor:
        task = asyncio.ensure_future(MediaTools().to_mp4(descriptor))
        (child,) = await until_children(1)
        environment = Path("/proc", str(child), "environ").read_bytes()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert b"PATH=" in environment
    assert b"secret" not in environment
    assert b"password" not in environment


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{}",
        b"[]",
        b'{"facts": {"mime_type": "text/html\\r\\nX: y"}}',
        b'{"facts": {"mime_type": "image/png", "width": -1}}',
        b'{"facts": {"mime_type": "image/png", "seconds": 1e999}}',
        b'{"facts": {"mime_type": "image/png", "thumbnail": "' + b"A" * 40_000 + b'"}}',
        b'{"fault": "damaged", "limit": "call +49 30 1234567"}',
        b'{"fault": "nothing", "limit": ""}',
    ],
)
async def test_what_a_child_says_is_checked(told: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*_: object) -> bytes:
        return told

    monkeypatch.setattr(child_process, "run", run)
    with making.given(b"x") as descriptor, pytest.raises(InvalidMedia) as refused:
        await MediaTools().inspect(descriptor, "image")
    assert refused.value.fault is MediaFault.CRASHED


async def test_a_child_that_never_stops_talking_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "talks.py").write_text("while True: print('x' * 1000)")
    monkeypatch.setattr(child_process, "MODULE", "talks")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with making.given(b"x") as descriptor, pytest.raises(InvalidMedia) as refused:
        await MediaTools().inspect(descriptor, "image")
    assert refused.value.fault is MediaFault.CRASHED


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = installed.find_spec
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "PIL" else found(name))
    installed.missing.cache_clear()
    yield
    installed.missing.cache_clear()


@pytest.mark.usefixtures("without_pillow")
async def test_without_the_extra_it_says_what_to_install() -> None:
    with making.given(making.picture("PNG")) as descriptor:
        for call in (
            MediaTools().inspect(descriptor, "image"),
            MediaTools().to_voice(descriptor),
            MediaTools().to_sticker(descriptor),
            MediaTools().to_jpeg(descriptor),
            MediaTools().to_mp4(descriptor),
        ):
            with pytest.raises(NotSupported, match=r"pillow missing here; pip install 'zapwire\[media\]'"):
                await call
