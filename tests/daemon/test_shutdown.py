"""The daemon stops on a signal, in order; and when it cannot, it leaves all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import Any, Self

import pytest

PRELUDE = """
import asyncio, ctypes, logging, os, signal, sys, threading, time
from zapwire.daemon import shutdown
from zapwire.runtime import log_setup
log_setup.configure("INFO", "text")
shutdown._LAST_RESORT = 0.5
"""


class Program:
    """A daemon that consists of a `Stop` and *body*; it says `ready` when it can be sent a signal."""

    def __init__(self, body: str, *, hangup: signal.Handlers = signal.SIG_DFL, **more: Any) -> None:
        code = PRELUDE + textwrap.dedent(body)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            # Whatever the tests themselves were started with.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup),  # noqa: PLW1509 - it takes no lock
            **more,
        )

    def __enter__(self) -> Self:
        self.says("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def says(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().decode() == line + "\n"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Exit code, and what it said to stderr when that was asked for."""
        _, err = self._process.communicate(timeout=30)
        return self._process.returncode, (err or b"").decode()


WAITS = """
REST = 0
async def main():
    stop = shutdown.Stop(20)
    print("ready", flush=True)
    await stop.wait()
    print("in order", stop.signal, flush=True)
    await asyncio.sleep(REST)
asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGALRM"])
def test_a_signal_that_would_end_it_stops_it_in_order(name: str) -> None:
    with Program(WAITS) as program:
        program.send(signal.Signals[name])
        program.says(f"in order {name}")
        assert program.end()[0] == 0


def test_nohup_is_respected() -> None:
    with Program(WAITS, hangup=signal.SIG_IGN) as program:
        program.send(signal.SIGHUP)
        program.send(signal.SIGTERM)
        program.says("in order SIGTERM")


def test_a_closed_terminal_hangs_up_twice_and_means_one_stop() -> None:
    with Program(WAITS.replace("REST = 0", "REST = 0.3")) as program:
        program.send(signal.SIGHUP)
        program.says("in order SIGHUP")
        program.send(signal.SIGHUP)
        assert program.end()[0] == 0


def test_the_second_ctrl_c_leaves_at_once() -> None:
    with Program(WAITS.replace("REST = 0", "REST = 60"), stderr=subprocess.PIPE) as program:
        program.send(signal.SIGINT)
        program.says("in order SIGINT")
        program.send(signal.SIGINT)
        code, err = program.end()
        assert (code, "asked for twice" in err) == (1, True)


# Each of them stands, in its own way, in the middle of the stop.
STUCK = {
    "in a write to stderr that nobody reads": "logging.getLogger().critical('x' * 1_000_000)",
    "in Python": "while True: pass",
    "in a call that keeps Python's lock": "ctypes.PyDLL(None).pause()",
}


@pytest.mark.parametrize(
    ("how", "when"),
    # with Python's lock kept before the signal no signal reaches Python: systemd's SIGKILL is for that
    [*((how, "while it stops") for how in STUCK), *((how, "before the signal") for how in list(STUCK)[:2])],
)
def test_it_leaves_when_the_main_thread_stands(how: str, when: str) -> None:
    wait = "" if when == "before the signal" else "await stop.wait()"
    body = f"""
    async def main():
        stop = shutdown.Stop(0.2)
        print("ready", flush=True)
        {wait or "pass"}
        {STUCK[how]}
    asyncio.run(main())
    """
    read, write = os.pipe()
    try:
        with Program(body, stderr=write) as program:
            program.send(signal.SIGTERM)
            assert program.end()[0] == 1
    finally:
        os.close(read)
        os.close(write)


def test_it_leaves_when_no_handler_of_a_signal_runs_any_more() -> None:
    """As when a signal comes after the last step of Python before a system call that never returns."""
    body = """
    held = ctypes.create_string_buffer(64)
    lock = ctypes.CDLL(None).pthread_mutex_lock

    def say():
        while held.raw[0] != 2:  # glibc: held, and somebody waits
            os.sched_yield()
        print("ready", flush=True)

    async def main():
        stop = shutdown.Stop(0.2)
        threading.Thread(target=say, daemon=True).start()
        lock(held), lock(held)
    asyncio.run(main())
    """
    with Program(body) as program:
        program.send(signal.SIGTERM)
        assert program.end()[0] == 1
