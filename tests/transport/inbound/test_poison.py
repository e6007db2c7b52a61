"""An event that breaks our own code is put aside, told, and holds up nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transport.inbound.test_decode import OWN, event, undecryptable
from zapwire.model.bots import BotId
from zapwire.model.errors import Unstorable
from zapwire.model.messages import MessageId, UndecryptableReason
from zapwire.transport.protocol import Received, TransportEvent, Withheld
from zapwire.transport.whatsapp_web.engine import event_codes
from zapwire.transport.whatsapp_web.engine.protos import e2e, neonize
from zapwire.transport.whatsapp_web.inbound import decode, quarantine, spool
from zapwire.transport.whatsapp_web.inbound.ingest import Ingest
from zapwire.transport.whatsapp_web.inbound.spool import Spool
from zapwire.vault.keys import KeyRing, MasterKey

BOT = BotId("shop")
SECRET = "what Anna wrote"
RING = KeyRing(MasterKey(b"\x5e" * 32))


def raw(text: str = SECRET) -> tuple[int, bytes]:
    return event_codes.MESSAGE, event(e2e.Message(conversation=text)).SerializeToString()


def kept(folder: Path) -> list[tuple[int, bytes]]:
    opened = Spool(folder, BOT, RING)
    return [one for path in sorted(folder.glob("*.aside")) for one in opened.events(path)]


@pytest.fixture
def here(tmp_path: Path) -> Spool:
    return Spool(tmp_path, BOT, RING)


async def test_an_event_that_breaks_us_is_kept_sealed_and_told(
    tmp_path: Path, here: Spool, caplog: pytest.LogCaptureFixture
):
    told = await quarantine.put_aside(here, BOT, raw(), OWN, ValueError(SECRET))
    assert told is not None
    assert (told.message.reason, told.message.id) == (UndecryptableReason.INTERNAL_ERROR, "ABC")
    assert (told.message.chat, told.message.push_name) == (told.message.sender, "Anna")
    [record] = [line for line in caplog.records if line.levelname == "CRITICAL"]
    assert "shop.1.aside" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert SECRET not in caplog.text
    assert SECRET.encode() not in (tmp_path / "shop.1.aside").read_bytes()
    assert kept(tmp_path) == [raw()]


async def test_an_event_of_which_nothing_can_be_read_is_told_all_the_same(tmp_path: Path, here: Spool):
    told = await quarantine.put_aside(here, BOT, (event_codes.MESSAGE, b"\xff\xff"), OWN, KeyError("x"))
    assert told == Withheld(decode.Undecryptable(UndecryptableReason.INTERNAL_ERROR))
    assert await quarantine.put_aside(here, BOT, (event_codes.RECEIPT, b"x"), OWN, KeyError("x")) is None, "no message"
    assert kept(tmp_path) == [(event_codes.MESSAGE, b"\xff\xff"), (event_codes.RECEIPT, b"x")]


async def test_without_a_spool_or_a_disk_it_is_told_at_least(here: Spool, monkeypatch: pytest.MonkeyPatch):
    assert await quarantine.put_aside(None, BOT, raw(), OWN, KeyError("x")) is not None

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "put_aside", full)
    assert await quarantine.put_aside(here, BOT, raw(), OWN, KeyError("x")) is not None


def test_what_is_put_aside_is_bounded_and_goes_with_the_bot(tmp_path: Path, here: Spool, monkeypatch):
    monkeypatch.setattr(spool, "MOST_ASIDE", 3)
    for number in range(5):
        here.put_aside(event_codes.MESSAGE, bytes([number]))
    assert kept(tmp_path) == [(event_codes.MESSAGE, bytes([number])) for number in (2, 3, 4)]
    monkeypatch.setattr(spool, "LARGEST_ASIDE", 1000)
    here.put_aside(event_codes.MESSAGE, b"x" * 2000)
    assert kept(tmp_path) == [(event_codes.MESSAGE, b"x" * 2000)], "the newest stays, however large"
    assert here.left() == [], "it is not read back"
    assert len(spool.left_in(tmp_path)) == 1, "and is sealed again when the key is changed"
    here.destroy()
    assert list(tmp_path.iterdir()) == []


async def taken(here: Spool, *refusals: Exception) -> list[TransportEvent]:
    told: list[TransportEvent] = []
    waiting = list(refusals)

    async def emit(one: TransportEvent) -> None:
        if waiting and (not isinstance(one, Received) or one.message.id == "ABC"):
            raise waiting.pop(0)
        told.append(one)

    taking = Ingest(BOT, emit, here)
    code, data = raw()
    first = decode.read_event(code, data, OWN)
    assert isinstance(first, Received)
    await taking.store(first, (code, data), lambda _: None)
    other = neonize.Message.FromString(data)
    other.Info.ID = "NEXT"
    behind = decode.read_event(code, other.SerializeToString(), OWN)
    assert behind is not None
    await taking.store(behind, (code, data), lambda _: None)
    await taking.settle()
    return told


@pytest.mark.parametrize(
    "fault", [Unstorable("cannot store BLOB value in TEXT column"), KeyError("a bug"), ValueError()]
)
async def test_what_can_never_be_stored_is_put_aside_and_not_tried_for_ever(
    tmp_path: Path, here: Spool, fault: Exception
):
    told = await taken(here, fault)
    assert kept(tmp_path) == [raw()]
    [withheld] = [one.message for one in told if isinstance(one, Withheld)]
    assert (withheld.reason, withheld.id) == (UndecryptableReason.INTERNAL_ERROR, "ABC")
    assert [one.message.id for one in told if isinstance(one, Received)] == [MessageId("NEXT")]


async def test_what_cannot_be_told_either_is_passed_by(tmp_path: Path, here: Spool):
    told = await taken(here, Unstorable("no"), Unstorable("no"))
    assert [type(one) for one in told] == [Received]
    assert kept(tmp_path) == [raw()]


def test_an_undecryptable_event_that_breaks_us_is_told_like_a_message():
    told = decode.broken(event_codes.UNDECRYPTABLE, undecryptable(), OWN)
    assert told is not None
    assert told.id == "ABC"
