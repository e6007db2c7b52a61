from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.keys import KeyRing
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.vfs import Vfs

Make = Callable[..., SealedDatabase]


@pytest.fixture(scope="session")
def vfs() -> Vfs:
    """The real one, in the engine's own SQLite."""
    return Vfs.of(library_path())


@pytest.fixture
def at(vfs: Vfs, tmp_path: Path) -> Make:
    """`at(name)`: the sealed database of that name, which may not exist yet."""

    def at(name: str = "x.db", ring: KeyRing = KEYS, on_damage: Callable[[str], None] | None = None) -> SealedDatabase:
        return SealedDatabase(tmp_path / name, vfs, ring, on_damage)

    return at


@pytest.fixture
def database(at: Make) -> SealedDatabase:
    """One with a table and 200 rows of different sizes, closed, without a WAL."""
    made = at()
    fill(made, "x")
    return made


def fill(database: SealedDatabase, word: str) -> None:
    database.create()
    with database.connect() as connection:
        connection.run("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT, data BLOB)")
        connection.run("BEGIN")
        for number in range(200):
            data = f"{word}{number}".encode() * (10, 300, 1200)[number % 3]
            connection.run("INSERT INTO rows VALUES (?, ?, ?)", number, f"{word}{number}", data)
        connection.run("COMMIT")
    database.close()


def content(database: SealedDatabase) -> list[tuple[object, ...]]:
    """All rows, after SQLite has checked the whole file."""
    assert database.query("PRAGMA integrity_check") == [("ok",)]
    return database.query("SELECT * FROM rows ORDER BY number")
