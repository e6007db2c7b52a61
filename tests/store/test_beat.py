from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.errors import StoreError
from zapwire.store.db import Database, beat


async def test_a_beat_is_a_real_write_that_a_full_disk_refuses(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(beat)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        try:
            await database.write(lambda _: None)  # which is why an empty one tells nothing
            with pytest.raises(StoreError):
                await database.write(beat)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await database.write(beat)
