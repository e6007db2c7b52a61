"""The bound on webhooks and bots holds, whatever was made while somebody counted."""

from __future__ import annotations

import asyncio

import pytest

from zapwire.api.v1.capacity import CapacityBound
from zapwire.model.errors import Conflict


async def test_what_is_made_while_another_counts_is_not_forgotten() -> None:
    bound, made, counted = CapacityBound("max_webhooks", 2), list[int](), asyncio.Event()

    async def old_count() -> int:
        found = len(made)
        await counted.wait()
        return found

    async def count() -> int:
        return len(made)

    async def make_late() -> None:
        async with bound.one_more(old_count):
            made.append(1)

    late = asyncio.create_task(make_late())
    await asyncio.sleep(0)
    for number in range(2):
        async with bound.one_more(count):
            made.append(number)
    counted.set()
    with pytest.raises(Conflict):
        await late
    with pytest.raises(Conflict):
        async with bound.one_more(count):
            pass
    assert len(made) == 2
