"""What goes wrong inside the VFS itself."""

from __future__ import annotations

import os
import random
import sys
import threading
from contextlib import suppress

import pytest

from tests.vault.conftest import Make, content, fill
from zapwire.vault import sealed_files
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_pages import PAGE, FileKeys
from zapwire.vault.sqlite import SqliteError


@pytest.mark.parametrize("broken", ["seal_page", "seal_frame", "seal_frame_header"])
def test_a_seal_that_fails_is_an_error_of_that_write_and_of_nothing_else(
    database: SealedDatabase, monkeypatch: pytest.MonkeyPatch, broken: str
):
    chance, original = random.Random(3), getattr(FileKeys, broken)
    failed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda trouble: failed.append(trouble.exc_type))

    def flaky(self: FileKeys, offset: int, plain: bytes) -> bytes:
        if chance.random() < 0.05:
            raise MemoryError
        return bytes(original(self, offset, plain))

    committed = set()
    with database.connect() as connection:
        connection.run("PRAGMA synchronous=FULL")
        connection.run("SELECT 1 FROM rows")
        connection.run("PRAGMA wal_autocheckpoint=20")
        monkeypatch.setattr(FileKeys, broken, flaky)
        for number in range(1000, 1400):
            with suppress(SqliteError):
                connection.run("INSERT INTO rows VALUES (?, ?, ?)", number, "x", os.urandom(3000))
                committed.add(number)
        monkeypatch.undo()
    there = {row[0] for row in content(database)}
    assert len(failed) > 5
    assert set(failed) == {MemoryError}
    assert len(committed) > 100
    assert committed <= there


def test_no_page_is_ever_left_as_zeros(database: SealedDatabase):
    with database.connect() as connection:
        connection.run("BEGIN")
        for number in range(1000, 1400):
            connection.run("INSERT INTO rows VALUES (?, '', ?)", number, os.urandom(5000))
        connection.run("DELETE FROM rows WHERE number >= 1000")
        connection.run("COMMIT")
        connection.checkpoint()
        assert connection.run("PRAGMA freelist_count") >= [(500,)]
        assert len(database.image()) == database.path.stat().st_size  # reads every page
    database.close()
    raw = database.path.read_bytes()
    assert not any(raw[at : at + PAGE] == bytes(PAGE) for at in range(0, len(raw), PAGE))


def test_a_hole_is_filled_with_sealed_pages(database: SealedDatabase, at: Make):
    """SQLite does not leave any today; should it ever, zeros on the disk must not become the way to forge a page."""
    with database.connect() as connection:
        connection.run("SELECT 1 FROM rows")
        [pointer] = [each for each, file in database._vfs._open.items() if file is database._file][:1]
        size = database.path.stat().st_size
        page = bytes(PAGE)
        assert pointer.pMethods.xWrite(pointer, page, PAGE, size + 3 * PAGE) == 0
    database.close()
    raw = database.path.read_bytes()
    assert len(raw) == size + 4 * PAGE
    keys = sealed_files.unlock(database.path, database._ring).keys
    for offset in range(size, len(raw), PAGE):
        assert keys.open_page(offset, raw[offset : offset + PAGE]) == page


def test_many_threads_with_connections_of_their_own(at: Make):
    database = at()
    fill(database, "x")
    troubles: list[SqliteError] = []

    def work(thread: int) -> None:
        try:
            for number in range(30):
                with database.connect() as connection:
                    connection.run("INSERT INTO rows VALUES (?, ?, ?)", 1000 * (thread + 1) + number, "x", b"y" * 2000)
        except SqliteError as error:
            troubles.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert len(content(database)) == 200 + 6 * 30
    database.close()
    assert not database._vfs._connections
    assert not any(file is database._file for file in database._vfs._open.values())
