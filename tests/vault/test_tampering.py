"""Files that somebody, or a disk, has changed: refused, and never wrong data."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from tests.vault.conftest import Make, content, fill
from zapwire.vault import sealed_files
from zapwire.vault.keys import Damaged, KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_pages import FRAME, FRAME_HEADER, PAGE, WAL_HEADER

Change = Callable[[bytearray, random.Random, bytes], None]


def flip(raw: bytearray, chance: random.Random, _other: bytes) -> None:
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)


def swap(raw: bytearray, chance: random.Random, _other: bytes) -> None:
    one, two = (number * PAGE for number in chance.sample(range(1, len(raw) // PAGE), 2))
    raw[one : one + PAGE], raw[two : two + PAGE] = raw[two : two + PAGE], raw[one : one + PAGE]


def graft(raw: bytearray, chance: random.Random, other: bytes) -> None:
    page = chance.randrange(1, min(len(raw), len(other)) // PAGE) * PAGE
    raw[page : page + PAGE] = other[page : page + PAGE]


def zero(raw: bytearray, chance: random.Random, _other: bytes) -> None:
    page = chance.randrange(1, len(raw) // PAGE) * PAGE
    raw[page : page + PAGE] = bytes(PAGE)


def cut(raw: bytearray, chance: random.Random, _other: bytes) -> None:
    del raw[chance.randrange(len(raw)) :]


@pytest.mark.parametrize(("change", "times"), [(flip, 150), (swap, 40), (graft, 40), (zero, 40), (cut, 40)])
def test_a_changed_file_is_refused_and_kept(database: SealedDatabase, at: Make, change: Change, times: int):
    fill(at("other.db"), "y")
    raw, other = database.path.read_bytes(), at("other.db").path.read_bytes()
    chance = random.Random(1)
    (database.path.parent / "victim").mkdir()
    for _ in range(times):
        changed = bytearray(raw)
        change(changed, chance, other)
        victim = at(f"victim/{database.path.name}")
        victim.path.write_bytes(changed)
        with pytest.raises(Damaged):
            victim.query("SELECT * FROM rows ORDER BY number")
        assert victim.path.read_bytes() == changed
        victim._forget()
        victim._lock.release()


def test_a_file_that_is_cut_behind_the_back_of_a_connection_gives_errors_never_zeros(database: SealedDatabase):
    """The WAL says how many pages there are; SQLite takes those that the file does not have for zeros."""
    with database.connect() as connection:
        connection.run("UPDATE rows SET text = 'in the WAL' WHERE number = 0")
        connection.run("PRAGMA cache_size=1")
        told: list[str] = []
        database._file.on_damage = told.append
        os.truncate(database.path, 40 * PAGE)
        with pytest.raises(Exception, match="a part of it does not open: disk I/O error"):
            connection.run("SELECT sum(length(data)) FROM rows")
    assert told[0].endswith("does not open")


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_file_that_vanishes_after_it_was_opened_is_never_made_anew(database: SealedDatabase, how: str):
    database.open()
    if how == "deleted":
        database.path.unlink()
    else:
        os.truncate(database.path, 0)
    with pytest.raises(Damaged):
        database.query("SELECT 1 FROM rows")
    assert how == "emptied" or not database.path.exists()


def test_what_a_person_has_put_back_is_looked_at_anew(database: SealedDatabase, at: Make):
    good = database.path.read_bytes()
    (database.path.parent / "backup").mkdir()
    fill(other := at("backup/x.db"), "other")
    assert content(database)
    inode = database.path.stat().st_ino
    for raw in (other.path.read_bytes(), good):  # in place: the inode stays what it was
        database.path.write_bytes(b"noise" * PAGE)
        with pytest.raises(Damaged):
            content(database)
        database.path.write_bytes(raw)
        assert content(database)
    assert database.path.stat().st_ino == inode


@pytest.mark.parametrize("how", ["image", "rekey"])
def test_a_copy_of_a_damaged_file_is_no_copy(database: SealedDatabase, at: Make, how: str):
    """SQLite puts zeros into an image for pages that it cannot read, and says nothing."""
    raw = bytearray(database.path.read_bytes())
    raw[9 * PAGE + 7] ^= 1
    database.path.write_bytes(raw)
    victim = at(ring=KeyRing(MasterKey.generate(), *KEYS))
    for _ in range(2):
        with pytest.raises(Damaged):
            getattr(victim, how)()
    assert database.path.read_bytes() == raw


def test_pages_that_turn_out_damaged_while_in_use_are_told(database: SealedDatabase, at: Make):
    told: list[str] = []
    victim = at(on_damage=told.append)
    with victim.connect() as connection:
        connection.run("PRAGMA cache_size=1")
        connection.run("SELECT count(*) FROM rows")
        with victim.path.open("r+b") as file:
            file.seek(7 * PAGE + 100)
            file.write(os.urandom(64))
        with pytest.raises(Exception, match="a part of it does not open: disk I/O error"):
            connection.run("SELECT sum(length(data)) FROM rows")
    assert set(told) == {"page 8 does not open"}


# ---- the WAL of a killed process

_WRITER = """
import os, sys
from pathlib import Path
from tests.harness.keys import KEYS
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.vfs import Vfs
database = SealedDatabase(Path(sys.argv[1]), Vfs.of(library_path()), KEYS)
database.create()
connection = database.connect()
connection.run("CREATE TABLE rows (number INTEGER PRIMARY KEY, data BLOB)")
for number in range(60):
    connection.run("INSERT INTO rows VALUES (?, ?)", number, b"%d" % number * 700)
os._exit(0)
"""


@pytest.fixture
def killed(at: Make) -> Path:
    """A database whose 61 commits are in its WAL only."""
    path = at("killed.db").path
    subprocess.run([sys.executable, "-c", _WRITER, path], check=True, cwd=Path(__file__).parents[2])
    return path


def test_a_wrong_key_never_touches_a_wal(killed: Path, at: Make):
    """SQLite would find no valid frame, take the log for empty, and delete it."""
    before = sealed_files.wal_of(killed).read_bytes()
    for _ in range(2):
        with pytest.raises(Damaged, match="master key is another one"):
            at(killed.name, KeyRing(MasterKey.generate())).query("SELECT 1")
    assert sealed_files.wal_of(killed).read_bytes() == before
    assert len(content(at(killed.name, KeyRing(MasterKey.generate(), *KEYS)))) == 60


@pytest.mark.parametrize("sector", range(8))
def test_a_first_page_that_a_crash_has_torn_is_mended_from_the_wal(killed: Path, at: Make, sector: int):
    raw = bytearray(killed.read_bytes())
    start = 16 if sector == 0 else sector * 512
    raw[start : (sector + 1) * 512] = os.urandom((sector + 1) * 512 - start)
    killed.write_bytes(raw)
    before = sealed_files.wal_of(killed).read_bytes()
    with pytest.raises(Damaged):
        at(killed.name, KeyRing(MasterKey.generate())).open()
    assert sealed_files.wal_of(killed).read_bytes() == before
    mended = at(killed.name)
    assert len(content(mended)) == 60
    mended.close()
    assert not sealed_files.wal_of(killed).exists()
    assert len(content(at(killed.name))) == 60


def test_a_changed_wal_is_cut_there_and_that_is_said(killed: Path, at: Make, caplog: pytest.LogCaptureFixture):
    file, wal, chance, seen = killed.read_bytes(), sealed_files.wal_of(killed).read_bytes(), random.Random(2), Counter()
    frames = (len(wal) - WAL_HEADER) // FRAME
    (killed.parent / "victim").mkdir()
    for attempt in range(120):
        changed, frame = bytearray(wal), chance.randrange(frames)
        within = chance.randrange(FRAME_HEADER) if attempt % 4 == 0 else FRAME_HEADER + chance.randrange(PAGE)
        changed[WAL_HEADER + frame * FRAME + within] ^= 1 << chance.randrange(8)
        victim = at(f"victim/{killed.name}")
        victim.path.write_bytes(file)
        sealed_files.wal_of(victim.path).write_bytes(changed)
        caplog.clear()
        rows = victim.query("SELECT number, data FROM rows") if victim.query("SELECT 1 FROM sqlite_master") else []
        assert victim.query("PRAGMA integrity_check") == [("ok",)]
        assert len(rows) < 60
        assert rows == [(number, b"%d" % number * 700) for number in range(len(rows))]
        said = [record.getMessage() for record in caplog.records if "the WAL ends at frame" in record.getMessage()]
        assert within < FRAME_HEADER or said[0].endswith(f"frame {frame + 1}: torn by a crash, or changed")
        seen[len(rows)] += 1
        victim.close()
        victim.path.unlink()
    assert len(seen) > 20
