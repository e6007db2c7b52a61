"""A child process that takes one file apart, seen from the daemon.

It gets open descriptors only, no name of a file, and its answer is one line that is checked like any other input: what
a decoder has been made to do by its file is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.limits import Limits
from zapwire.runtime.child_environment import for_children
from zapwire.runtime.tasks import spawn

log = logging.getLogger(__name__)

MODULE: Final = "zapwire.media_tools.child"
_ANSWER_BYTES: Final = 1 << 16


async def run(request: Mapping[str, Any], source: int, output: int | None, limits: Limits) -> bytes:
    """The answer, JSON that is not checked yet, of a child that works on descriptor *source* and writes to *output*.

    Raises `InvalidMedia` when it does not come to an end. The child is gone when this returns, raises or is cancelled.
    """
    process = await _started(request, source, output, limits)
    try:
        async with asyncio.timeout(limits.wall):
            answer = await _answer(process)
            status = await process.wait()
    except TimeoutError:
        raise InvalidMedia(MediaFault.TIMED_OUT, limit=f"{limits.wall:g} s") from None
    finally:
        await asyncio.shield(_end(process))
    if status != 0:
        raise _ended(status, limits)
    return answer


async def _started(
    request: Mapping[str, Any], source: int, output: int | None, limits: Limits
) -> asyncio.subprocess.Process:
    # cancelled halfway, asyncio's own call may leave a process behind that nobody knows of
    starting = spawn(_start(request, source, output, limits), "start of a child that decodes media", awaited=True)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.shield(_end_when_started(starting))
        raise


async def _end_when_started(starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
    with contextlib.suppress(OSError):  # it did not even begin
        await _end(await starting)


async def _start(
    request: Mapping[str, Any], source: int, output: int | None, limits: Limits
) -> asyncio.subprocess.Process:
    reading = _read_only(source)
    try:
        kept = [reading] if output is None else [reading, output]
        asked = {**request, "input": reading, "output": output, "limits": limits.for_child()}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", MODULE, json.dumps(asked),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            pass_fds=kept, env=for_children(os.environ, network=False) | {"MALLOC_ARENA_MAX": "2"},
        )  # fmt: skip
    finally:
        os.close(reading)


def _read_only(source: int) -> int:
    # opened again, so that the child can neither write into the file nor move the position of whoever else reads it
    try:
        return os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return os.dup(source)


async def _answer(process: asyncio.subprocess.Process) -> bytes:
    if process.stdout is None:
        return b""
    answer = bytearray()
    while piece := await process.stdout.read(_ANSWER_BYTES):
        answer += piece
        if len(answer) > _ANSWER_BYTES:
            raise InvalidMedia(MediaFault.CRASHED)
    return bytes(answer)


def _ended(status: int, limits: Limits) -> InvalidMedia:
    log.warning("a child that decodes media ended with status %d", status)
    if status == -signal.SIGXCPU:
        return InvalidMedia(MediaFault.TIMED_OUT, limit=f"{limits.cpu} s of processor time")
    if status == -signal.SIGKILL:  # by the kernel, which takes this child first
        return InvalidMedia(MediaFault.OUT_OF_MEMORY)
    return InvalidMedia(MediaFault.CRASHED)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # Not `process.kill()`: it reaps a child that has just ended, and asyncio then misses its exit status.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    # Reads to the end, so that the pipe's transport is closed too.
    await process.communicate()
