"""What the tally makes of the journal, with a real core above a scripted transport."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.core.scripted import ALICE, eventually, paired, qr, text, world
from zapwire.model.bots import BotState
from zapwire.model.errors import Blocked, Condition, PairingTimedOut, StoreError
from zapwire.model.events import EventType
from zapwire.model.pairing import PairingStep
from zapwire.transport.protocol import Connected, Disconnected, PairingProgress


async def test_pairings_and_lost_connections_are_counted(tmp_path: Path) -> None:
    async with world(tmp_path / "db") as one:
        counters, script = one.core.stats.counters, one.transports
        await one.core.bots.create("shop")
        script["shop"].script.put_nowait(qr(1))
        await one.until("shop", BotState.PAIRING)
        script["shop"].script.put_nowait(qr(2))
        script["shop"].script.put_nowait(PairingTimedOut("nobody scanned", action="Connect the bot."))
        await one.until("shop", BotState.PAIRING_TIMED_OUT)
        await eventually(lambda: counters.pairings.failures == {"timed_out": 1})
        assert (counters.pairings.codes["qr"], counters.pairings.scans) == (2, 0)
        assert (counters.pairings.to_qr.count, counters.pairings.to_connected.count) == (1, 0)

        await one.core.bots.get("shop").connect()
        for step in (qr(1), paired(), Connected(ALICE), Disconnected("lost"), Connected(ALICE)):
            script["shop"].script.put_nowait(step)
        await eventually(lambda: counters.all.reconnects == 1)
        assert counters.bots["shop"].reconnects == 1
        assert (counters.pairings.scans, counters.pairings.to_qr.count, counters.pairings.to_connected.count) == (
            1,
            2,
            1,
        )

        assert counters.pairings.expired == 2

        await one.core.bots.create("key")
        until = datetime.now(UTC) + timedelta(seconds=60)
        progress = [
            PairingProgress(step, until, "reason", "action") for step in (PairingStep.PASSKEY, PairingStep.PHONE)
        ]
        for step in (qr(1), *progress, paired(), Connected(ALICE)):
            script["key"].script.put_nowait(step)
        await one.until("key", BotState.CONNECTED)
        await eventually(lambda: counters.pairings.to_linked.count == 1)
        assert counters.pairings.passkey_steps == {"passkey": 1, "phone": 1, "linked": 1}
        await one.core.bots.create("refused")
        script["refused"].script.put_nowait(qr(1))
        script["refused"].script.put_nowait(Blocked("outdated", action="Update.", condition=Condition.OUTDATED))
        await eventually(lambda: counters.pairings.refusals == {"outdated": 1})
        counters.pairings.failures.clear()

        await one.core.bots.create("other")
        script["other"].script.put_nowait(qr(1))
        await one.until("other", BotState.PAIRING)
        await one.core.bots.get("other").disconnect()
        await eventually(lambda: counters.pairings.failures == {"cancelled": 1})


async def test_it_counts_on_after_the_database_failed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("zapwire.core.monitoring.counters.AGAIN", 0.01)
    async with world(tmp_path / "db", linked=True) as one:
        counters, tail = one.core.stats.counters, one.database.tail
        await one.core.bots.create("shop")
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
        await eventually(lambda: counters.all.received.count == 5)
        assert len(failures) == 3


async def test_an_event_that_cannot_be_counted_is_named_and_passed_over(tmp_path: Path, caplog) -> None:
    async with world(tmp_path / "db", linked=True) as one:
        await one.core.bots.create("shop")
        await one.until("shop", BotState.CONNECTED)
        await one.database.write(lambda transaction: transaction.journal.append(EventType.BOT_STATE, "shop", {}))
        await one.tell("shop", text("M"))
        await eventually(lambda: one.core.stats.counters.all.received.count == 1)
        assert "(bot.state) cannot be counted" in caplog.text
