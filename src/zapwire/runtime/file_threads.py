"""Threads for the bots' files. asyncio's own few are for name lookups of strangers' servers, which may take long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = ThreadPoolExecutor(4, "bot-files")


async def in_file_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Like `asyncio.to_thread`, in one of these threads; for work that ends by itself: on files, or computing."""
    work = partial(function, *arguments, **options)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
