"""Room for files is reserved before it is used, by whoever comes, and what is needed is not deleted for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.core.scripted import QUICK, eventually
from tests.harness.keys import KEYS
from tests.store.contract.values import SHOP, bot
from zapwire.core.media import space
from zapwire.core.media.folder import MediaFolder
from zapwire.core.media.intake import Intake
from zapwire.core.media.places import FairPlaces
from zapwire.core.media.space import STEP, MediaSpace
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.errors import NoSpace
from zapwire.model.media import MediaDetails, MediaFile, MediaState, RemoteFile
from zapwire.store.sqlite.database import Database

MIB = 1 << 20


class Files:
    """Takes files of ours."""

    def __init__(self, database: Database, folder: Path, limits: Tuning) -> None:
        self.database = database
        self.folder = MediaFolder(folder)
        self.folder.prepare()
        self.space = MediaSpace(database, self.folder, limits)
        self.intake = Intake(database, self.folder, self.space)

    async def take(self, size: int, go_on: asyncio.Event | None = None) -> MediaFile:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(size // MIB):
                yield bytes(MIB)
            if go_on is not None:
                await go_on.wait()

        async def describe(_: RemoteFile) -> MediaDetails:
            return MediaDetails()

        return await self.intake.take(SHOP, "document", pieces(), describe)

    async def state(self, file: MediaFile) -> MediaState:
        found = await self.database.read(lambda view: view.media.get(file.id))
        assert found is not None
        assert self.folder.path(file.id).exists() == (found.state is MediaState.STORED)
        return found.state


def left_over(folder: Path) -> list[str]:
    return [one.name for one in folder.glob("*.part")]


async def test_the_least_wanted_goes_and_what_is_needed_stays(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(bot)
        files = Files(database, tmp_path / "media", replace(QUICK, media_quota=4 * STEP))
        old, needed = [await files.take(STEP) for _ in range(2)]
        tomorrow = timestamps.now() + timedelta(days=1)
        await database.write(lambda unit: unit.sql.execute("UPDATE media SET used_at = 0 WHERE id = ?", (old.id,)))
        await database.write(lambda unit: unit.media.used(needed.id, tomorrow))
        new = [await files.take(STEP) for _ in range(2)]
        assert await files.state(old) is MediaState.STORED
        new.append(await files.take(STEP))
        assert await files.state(old) is MediaState.EXPIRED
        with pytest.raises(NoSpace, match="media_quota_mb") as refused:
            await files.take(STEP)
        assert refused.value.field == "media"
        assert {await files.state(one) for one in (needed, *new)} == {MediaState.STORED}
        assert left_over(tmp_path / "media") == []


async def test_files_that_come_at_once_share_the_room(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(bot)
        files = Files(database, tmp_path / "media", replace(QUICK, media_quota=2 * STEP))
        go_on = asyncio.Event()
        both = [asyncio.create_task(files.take(MIB, go_on)) for _ in range(2)]
        await eventually(lambda: files.space._reserved == 2 * STEP)
        with pytest.raises(NoSpace):
            await files.take(MIB)
        go_on.set()
        await asyncio.gather(*both)
        assert files.space._reserved == 0
        await files.take(STEP)


async def test_what_is_written_already_is_not_counted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(bot)
        files = Files(database, tmp_path / "media", QUICK)
        free = 3 * STEP

        def left(_: Path) -> tuple[int, int]:
            written = sum(one.stat().st_size for one in (tmp_path / "media").iterdir())
            return free - written, 0

        monkeypatch.setattr(space, "_free", left)
        await files.take(2 * STEP)
        assert files.space.unwritten == 0
        with pytest.raises(NoSpace):
            await files.take(2 * STEP)


async def test_a_part_of_the_disk_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(bot)
        files = Files(database, tmp_path / "media", QUICK)
        monkeypatch.setattr(space, "_free", lambda _: (100 * MIB, 90 * MIB))
        with pytest.raises(NoSpace, match="100 MB are free on the disk, of which 90 MB are kept"):
            await files.take(STEP)
        assert left_over(tmp_path / "media") == []
        monkeypatch.setattr(space, "_free", lambda _: (200 * MIB, 90 * MIB))
        await files.take(STEP)


async def test_one_bot_leaves_places_to_others():
    places, inside = FairPlaces(3, 2), list[str]()
    leave = asyncio.Event()

    async def transfer(name: str) -> None:
        async with places.place(BotId(name)):
            inside.append(name)
            await leave.wait()

    slow = [asyncio.create_task(transfer("slow")) for _ in range(9)]
    await asyncio.sleep(0)
    other = asyncio.create_task(transfer("other"))
    await eventually(lambda: len(inside) == 3)
    assert inside == ["slow", "slow", "other"]
    leave.set()
    await asyncio.gather(*slow, other)
    assert places._bots == {}
