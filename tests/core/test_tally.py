"""What the tally makes of the journal, with a real core above a scripted transport."""

from __future__ import annotations

from pathlib import Path

from tests.core.scripted import ALICE, eventually, paired, qr, text, world
from zapwire.errors import PairingTimedOut, StoreError
from zapwire.events import EventType
from zapwire.model import BotState
from zapwire.store import journal
from zapwire.transport.base import Connected, Disconnected


async def test_pairings_and_lost_connections_are_counted(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as one:
        tally, script = one.core.stats.tally, one.transports
        await one.core.fleet.create("shop")
        script["shop"].script.put_nowait(qr(1))
        await one.until("shop", BotState.PAIRING)
        script["shop"].script.put_nowait(qr(2))
        script["shop"].script.put_nowait(PairingTimedOut("nobody scanned", action="Connect the bot."))
        await one.until("shop", BotState.PAIRING_TIMED_OUT)
        await eventually(lambda: tally.pairings.failures == {"timed_out": 1})
        assert (tally.pairings.codes["qr"], tally.pairings.scans) == (2, 0)
        assert (tally.pairings.to_qr.count, tally.pairings.to_connected.count) == (1, 0)

        await one.core.fleet.connect("shop")
        for step in (qr(1), paired(), Connected(ALICE), Disconnected("lost"), Connected(ALICE)):
            script["shop"].script.put_nowait(step)
        await eventually(lambda: tally.all.reconnects == 1)
        assert tally.bots["shop"].reconnects == 1
        assert (tally.pairings.scans, tally.pairings.to_qr.count, tally.pairings.to_connected.count) == (1, 2, 1)

        await one.core.fleet.create("other")
        script["other"].script.put_nowait(qr(1))
        await one.until("other", BotState.PAIRING)
        await one.core.fleet.disconnect("other")
        await eventually(lambda: tally.pairings.failures == {"timed_out": 1, "cancelled": 1})


async def test_it_counts_on_after_the_database_failed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("zapwire.core.tally.AGAIN", 0.01)
    async with world(tmp_path / "db", linked=True) as one:
        tally, tail = one.core.stats.tally, one.database.tail
        await one.core.fleet.create("shop")
        await one.until("shop", BotState.CONNECTED)
        after, failures = tail.after, []

        def failing(cursor: int):
            if len(failures) < 3:
                failures.append(cursor)
                raise StoreError("cannot read the database: disk I/O error")
            return after(cursor)

        monkeypatch.setattr(tail, "after", failing)
        for number in range(5):
            await one.tell("shop", text(f"M{number}"))
        await eventually(lambda: tally.all.received.count == 5)
        assert len(failures) == 3


async def test_an_event_that_cannot_be_counted_is_named_and_passed_over(tmp_path: Path, caplog) -> None:
    async with world(tmp_path / "db", linked=True) as one:
        await one.core.fleet.create("shop")
        await one.until("shop", BotState.CONNECTED)
        await one.database.write(lambda transaction: journal.append(transaction, EventType.BOT_STATE, "shop", {}))
        await one.tell("shop", text("M"))
        await eventually(lambda: one.core.stats.tally.all.received.count == 1)
        assert "(bot.state) cannot be counted" in caplog.text
