from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.model.errors import StoreError
from zapwire.store.sqlite.database import Database


async def test_a_beat_is_a_real_write_that_a_full_disk_refuses(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(lambda unit: unit.beat())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        try:
            await database.write(lambda _: None)  # which is why an empty one tells nothing
            with pytest.raises(StoreError):
                await database.write(lambda unit: unit.beat())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await database.write(lambda unit: unit.beat())
