"""What comes in is written down at once, and found again by whoever comes after a death."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zapwire.model.bots import BotId
from zapwire.model.timestamps import now
from zapwire.transport.protocol import Receipt, ReceiptKind
from zapwire.transport.whatsapp_web.engine import event_codes
from zapwire.transport.whatsapp_web.inbound import spool
from zapwire.transport.whatsapp_web.inbound.event_queue import EventQueue
from zapwire.transport.whatsapp_web.inbound.ingest import AT_ONCE, read_back
from zapwire.transport.whatsapp_web.inbound.spool import Spool, Spools, rekey
from zapwire.vault.keys import KeyRing, MasterKey

BOT = BotId("shop")
RING = KeyRing(MasterKey(b"k" * 32))


def left(folder: Path, ring: KeyRing = RING, bot: BotId = BOT) -> list[tuple[int, bytes]]:
    """What a new process finds."""
    one = Spool(folder, bot, ring)
    return [event for path in one.left() for event in one.events(path)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 5))))
def test_what_is_not_done_is_always_left_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | int]):
    """Bytes come in; a number says which of the waiting ones is done next."""
    folder = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "SEGMENT", 800)
        patch.setattr(spool, "EMPTIED", 300)
        one, waiting = Spool(folder, BOT, RING), []
        for step in steps:
            if isinstance(step, bytes):
                waiting.append((step, one.add(event_codes.MESSAGE, step)))
            elif waiting:
                one.done(waiting.pop(step % len(waiting))[1])
            found = [data for _, data in left(folder)]
            missing = iter(found)
            assert all(data in missing for data, _ in waiting), "each one, in order"
        assert sum(path.stat().st_size for path in folder.iterdir()) < 800 * (len(waiting) + 2)
        one.close()
        assert bool(files(folder)) is bool(waiting)
        for _, segment in waiting:
            one.done(segment)
        assert files(folder) == []


def test_it_is_sealed_bound_and_bounded(tmp_path: Path):
    one = Spools(tmp_path, RING).of(BOT)
    for number in range(3):
        one.add(event_codes.RECEIPT, b"secret %d" % number)
    [path] = one.left()
    content = path.read_bytes()
    assert b"secret" not in content
    assert path.stat().st_mode & 0o777 == 0o600
    assert left(tmp_path, KeyRing(MasterKey(b"n" * 32), MasterKey(b"k" * 32))) == [
        (event_codes.RECEIPT, b"secret %d" % number) for number in range(3)
    ]
    assert left(tmp_path, KeyRing(MasterKey(b"n" * 32))) == []
    path.write_bytes(content[:-5])  # a death amid the write
    assert len(left(tmp_path)) == 2
    second = 16 + (len(content) - 16) // 3
    path.write_bytes(content[:16] + content[second:])  # a record in another's place
    assert left(tmp_path) == []
    path.write_bytes(content)
    path.rename(tmp_path / "other.1.spool")
    assert left(tmp_path, bot=BotId("other")) == []
    one.destroy()
    assert left(tmp_path) == []


def test_a_disk_that_takes_nothing_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = Spool(tmp_path, BOT, RING)
    assert one.add(event_codes.MESSAGE, b"first") is not None
    write = os.write

    def full(file: int, content: bytes) -> int:
        if len(content) < 10:
            raise OSError(28, "No space left on device")
        return write(file, content[:-9])

    monkeypatch.setattr(spool.os, "write", full)
    assert one.add(event_codes.MESSAGE, b"second") is None
    monkeypatch.undo()
    assert one.add(event_codes.MESSAGE, b"third") is not None
    assert [data for _, data in left(tmp_path)] == [b"first", b"third"]


async def test_the_queue_writes_down_what_is_told_once_and_takes_more_of_it(tmp_path: Path):
    one = Spool(tmp_path, BOT, RING)
    incoming = EventQueue(asyncio.get_running_loop(), 1, spool=one)
    incoming.put(event_codes.CONNECTED, b"")
    for number in range(9):
        incoming.put(event_codes.MESSAGE, b"%d" % number)  # would wait for ever without the spool
    assert left(tmp_path) == [(event_codes.MESSAGE, b"%d" % number) for number in range(9)]
    for _ in range(10):
        _, _, segment = await incoming.get()
        incoming.done(segment)
    one.close()
    assert left(tmp_path) == [], "all is stored"
    incoming.put(event_codes.MESSAGE, b"not stored when it was stopped")
    _, _, segment = await incoming.get()
    incoming.end_of(segment)(False)  # noqa: FBT003 - as `Ingest` calls it
    incoming.close()
    incoming.put(event_codes.MESSAGE, b"while it is being stopped")
    one.close()
    assert [data for _, data in left(tmp_path)] == [b"not stored when it was stopped", b"while it is being stopped"]


async def test_what_is_left_is_stored_before_anything_else_however_long_that_takes(tmp_path: Path):
    dead = Spool(tmp_path, BOT, RING)
    for number in range(40):
        dead.add(event_codes.RECEIPT, b"%d" % number)
    stored: list[str] = []
    space = asyncio.Event()

    async def emit(event: Receipt) -> None:
        await space.wait()
        stored.append(event.whatsapp_ids[0])

    async def read(code: int, data: bytes) -> Receipt:
        assert code == event_codes.RECEIPT
        return Receipt((data.decode(),), ReceiptKind.READ, "1@lid", now())

    reading = asyncio.create_task(read_back(Spool(tmp_path, BOT, RING), BOT, emit, read))
    while len(asyncio.all_tasks()) < AT_ONCE:  # noqa: ASYNC110 - until as many as may be are under way
        await asyncio.sleep(0)
    assert (stored, reading.done(), len(files(tmp_path))) == ([], False, 1)
    space.set()
    await reading
    assert sorted(stored, key=int) == [str(number) for number in range(40)]
    assert files(tmp_path) == []


async def test_a_damaged_file_is_kept_aside_until_its_bot_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    dead = Spool(tmp_path, BOT, RING)
    for number in range(3):
        dead.add(event_codes.RECEIPT, b"%d" % number)
    [path] = dead.left()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    stored: list[object] = []

    async def emit(event: object) -> None:
        stored.append(event)

    async def read(_code: int, data: bytes) -> Receipt:
        return Receipt((data.decode(),), ReceiptKind.READ, "1@lid", now())

    one = Spool(tmp_path, BOT, RING)
    await read_back(one, BOT, emit, read)
    assert len(stored) == 2
    assert "do not open: damaged, or sealed with another key; the file is kept" in caplog.text
    [kept] = tmp_path.iterdir()
    assert (kept.suffix, kept.read_bytes(), one.left()) == (".damaged", content, [])
    one.destroy()
    assert files(tmp_path) == []


def test_another_master_key(tmp_path: Path):
    old, new = MasterKey.generate(), MasterKey.generate()
    one = Spool(tmp_path, BotId("shop"), KeyRing(old))
    for number in range(3):
        one.add(7, b"record %d" % number)
    one.close()
    [path] = one.left()
    assert rekey(path, KeyRing(new, old)) == 3
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert Spool(tmp_path, BotId("shop"), KeyRing(old)).events(path) == []
    assert Spool(tmp_path, BotId("shop"), KeyRing(new)).events(path) == [(7, b"record %d" % n) for n in range(3)]
