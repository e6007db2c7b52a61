"""Threads for the bots' files. asyncio's own few are for name lookups of strangers' servers, which may take long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = ThreadPoolExecutor(4, "bot-files")


async def in_file_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Like `asyncio.to_thread`, in one of these threads; for work that ends by itself: on files, or computing."""
    work = partial(function, *arguments, **options)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


async def in_file_thread_to_end(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """As `in_file_thread`, but whoever is cancelled waits until *function* has ended.

    For work with a descriptor or a buffer that the caller closes afterwards: a thread cannot be stopped, and the number
    of a closed descriptor may be another file's by then.
    """
    work = partial(function, *arguments, **options)
    running = asyncio.get_running_loop().run_in_executor(_THREADS, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():  # also when somebody cancels once more meanwhile
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        raise


async def open_in_file_thread(function: Callable[P, int], *arguments: P.args, **options: P.kwargs) -> int:
    """As `in_file_thread`, for a *function* that returns a descriptor: who is cancelled meanwhile leaves none open."""
    work = partial(function, *arguments, **options)
    opening = asyncio.get_running_loop().run_in_executor(_THREADS, work)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


def write_all(file: int, data: bytes) -> None:
    """Write all of *data*: one call of the system may take only a part. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
