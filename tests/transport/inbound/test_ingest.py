from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from zapwire.transport.protocol import Disconnected, Receipt, ReceiptKind
from zapwire.transport.whatsapp_web.engine import event_codes
from zapwire.transport.whatsapp_web.inbound.ingest import AT_ONCE, Ingest

RAW = (event_codes.RECEIPT, b"raw")


def receipt(number: int) -> Receipt:
    return Receipt((str(number),), ReceiptKind.READ, "1@lid", datetime.now(UTC))


async def test_messages_are_begun_in_order_and_wait_for_their_commit_together():
    begun: list[str] = []
    commit = asyncio.Event()
    done = 0

    def count(_: bool) -> None:
        nonlocal done
        done += 1

    async def emit(event):
        begun.append(event.whatsapp_ids[0])
        await commit.wait()

    taker = Ingest("bot", emit)
    for number in range(AT_ONCE):
        await taker.store(receipt(number), RAW, count)
    more = asyncio.create_task(taker.store(receipt(AT_ONCE), RAW, count))
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun == [str(number) for number in range(AT_ONCE)]
    assert (done, more.done()) == (0, False)
    commit.set()
    await more
    await taker.tell(receipt(99))
    assert begun == [str(number) for number in range(AT_ONCE + 1)] + ["99"]
    assert done == AT_ONCE + 1


async def test_a_change_of_the_connection_comes_after_the_messages_before_it():
    told: list[str] = []

    async def emit(event):
        await asyncio.sleep(0)
        told.append(type(event).__name__)

    taker = Ingest("bot", emit)
    await taker.store(receipt(1), RAW, lambda _: None)
    await taker.tell(Disconnected("gone"))
    assert told == ["Receipt", "Disconnected"]


async def test_one_that_cannot_be_taken_does_not_stop_those_behind_it():
    told: list[str] = []

    async def emit(event):
        if event.whatsapp_ids == ("1",):
            raise KeyError("a bug")
        told.append(event.whatsapp_ids[0])

    taker = Ingest("bot", emit)
    for number in (1, 2):
        await taker.store(receipt(number), RAW, lambda _: None)
    await taker.tell(receipt(3))
    assert told == ["2", "3"]


async def test_closing_ends_what_is_under_way():
    ended: list[bool] = []

    async def emit(_event):
        await asyncio.Event().wait()

    taker = Ingest("bot", emit)
    await taker.store(receipt(1), RAW, ended.append)
    await asyncio.sleep(0)
    await taker.close()
    await asyncio.sleep(0)
    assert ended == [False], "it is not stored"
