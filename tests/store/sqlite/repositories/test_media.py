"""Files that messages carry, and which of them may go."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.harness.keys import KEYS
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.media import MediaDetails, MediaFile, MediaId, MediaState, RemoteFile
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.wire.media import Domain

BOT = BotId("bot")
NOW = timestamps.now()
DAY = timedelta(days=1)


def file(name: str, age: timedelta, state: MediaState = MediaState.STORED) -> MediaFile:
    remote = RemoteFile(Domain.IMAGE, "/x", bytes(32), bytes(32), bytes(32), 7)
    details = MediaDetails("image/png", "a.png", 1, 2, thumbnail=b"jpeg")
    return MediaFile(MediaId(name), BOT, state, remote, details, NOW - age)


async def test_the_least_wanted_go_first_and_what_a_message_still_needs_stays(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "db", KEYS) as database:

        def work(transaction: SqliteUnitOfWork) -> None:
            transaction.bots.insert(BotRow(BOT, "bot", autostart=True, created_at=NOW))
            for name, age in (("old", 9 * DAY), ("older", 10 * DAY), ("new", DAY), ("needed", 20 * DAY)):
                transaction.media.insert(file(name, age))
            transaction.media.insert(file("elsewhere", 30 * DAY, MediaState.REMOTE))
            transaction.media.used(MediaId("needed"), NOW + 40 * DAY)
            transaction.media.used(MediaId("needed"), NOW)  # somebody looks at it: it is needed as long as before
            assert transaction.media.oldest(9, NOW - 5 * DAY) == [("older", 7), ("old", 7)]
            assert [name for name, _ in transaction.media.oldest(9)] == ["older", "old", "new"]
            assert transaction.media.stored() == (4, 28)
            assert transaction.media.get("old") == file("old", 9 * DAY)
            sent = file("old", DAY).remote
            transaction.media.uploaded(MediaId("old"), sent, NOW)
            found = transaction.media.of_bot(BOT, "old")
            assert found is not None
            assert (found.sent, found.uploaded_at) == (sent, NOW)
            assert transaction.media.of_bot(BotId("other"), "old") is None

        await database.write(work)
