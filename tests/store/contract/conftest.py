"""The stores that have to pass: each opens one, fresh or again, by the folder it is kept in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.keys import KEYS
from zapwire.store.ports import Store
from zapwire.store.sqlite.database import Database

Open = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the store; again: what is kept is the same."""
    return {"sqlite": lambda: Database.open(tmp_path / "zapwire.db", KEYS)}[request.param]


@pytest_asyncio.fixture
async def store(opened: Open) -> AsyncIterator[Store]:
    async with opened() as one:
        yield one
