"""`serve --sandbox`: a sandbox process of the daemon's own, which outlives the daemon's re-exec and ends with it.

The engine needs an environment from before its process began, so the daemon replaces itself (exec) once the sandbox has
said where it is. The process id stays the same over an exec: the sandbox remains our child, found by `PID_VARIABLE`.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from zapwire.model.errors import SettingsError
from zapwire.runtime.child_environment import for_children
from zapwire.settings import SANDBOX_DESCRIPTOR, make_sessions_dir

PID_VARIABLE = "ZAPWIRE_SANDBOX_PID"
START_LIMIT = 30.0
"""Seconds that the sandbox may take to say where it is."""
SOMEBODY = "4915100000002=Ana"
"""A virtual phone that is there from the start, so that there is somebody to chat with."""
STOP_LIMIT = 10.0
"""Seconds that the sandbox gets to write its state."""

_PR_SET_PDEATHSIG = 1


@contextmanager
def own_sandbox(folder: Path) -> Iterator[tuple[int, Path]]:
    """Start the sandbox, or take over the one that we started before our exec; yields its process id and its
    descriptor file.

    Its state stays in *folder*, so that bots stay linked over restarts. Raises `SettingsError` when it does not start.
    """
    descriptor = folder / SANDBOX_DESCRIPTOR
    pid = int(os.environ.get(PID_VARIABLE, "0")) or _start(folder, descriptor)
    os.environ[PID_VARIABLE] = str(pid)
    try:
        yield pid, descriptor
    finally:
        os.environ.pop(PID_VARIABLE, None)
        _stop(pid)


def _start(folder: Path, descriptor: Path) -> int:
    make_sessions_dir(folder)
    state = folder / "sandbox-state.json"
    lock = _lock(folder)
    process = subprocess.Popen(  # noqa: S603 - our own program
        [
            sys.executable,
            "-m",
            "zapwire.sandbox",
            "--listen",
            "127.0.0.1:0",
            "--state",
            str(state),
            "--phone",
            SOMEBODY,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=for_children(os.environ, network=False),
        pass_fds=(lock,),
        start_new_session=True,  # Ctrl-C is for the daemon, which then stops the sandbox in its turn
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads yet
    )
    os.close(lock)
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        line = _first_line(process.stdout)
        json.loads(line)
    except (TimeoutError, ValueError):
        _stop(process.pid)
        raise SettingsError("the sandbox did not start; its messages are above", field="sandbox") from None
    descriptor.write_bytes(line)
    # nobody waits for this object: after the exec only the process id is left
    process.returncode = 0
    return process.pid


def _lock(folder: Path) -> int:
    """A lock that the sandbox inherits and holds as long as it lives; waits for an earlier one that is still ending.

    After a kill -9 of the daemon its sandbox still has the state and the ports for a moment.
    """
    lock = os.open(folder / "sandbox.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + STOP_LIMIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise SettingsError(
                    f"sessions_dir: another zapwire has its sandbox in {folder}; stop it, or name another folder with "
                    "--sessions-dir",
                    field="sessions_dir",
                ) from None
            time.sleep(0.05)
        else:
            return lock


def _first_line(out: IO[bytes]) -> bytes:
    """Read up to the first newline; raises TimeoutError, and returns nothing at the end of output."""
    deadline, line = time.monotonic() + START_LIMIT, b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        byte = os.read(out.fileno(), 1)
        if not byte:
            return b""
        line += byte
    return line


def _stop(pid: int) -> None:
    deadline, how = time.monotonic() + STOP_LIMIT, signal.SIGTERM
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, how)
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.05)


def _end_with_parent() -> None:
    """In the child: get SIGTERM when the daemon dies, even by kill -9 (prctl(2), Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
