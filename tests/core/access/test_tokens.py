"""API tokens."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.core.access import tokens as module
from zapwire.core.access.tokens import Tokens
from zapwire.model.errors import InvalidInput, NotFound, StoreError
from zapwire.store.sqlite import encryption, rekey
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.vault.keys import KeyRing, MasterKey


async def test_a_token_works_until_it_is_revoked_and_its_secret_is_nowhere(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        tokens = Tokens(database)
        assert await tokens.count() == 0
        token, secret = await tokens.create("laptop")
        other, other_secret = await tokens.create("phone")
        assert secret.startswith("zw_")
        found = await tokens.check(secret)
        assert found is not None
        assert found.id == token.id
        assert await tokens.check(secret + "x") is None
        assert await tokens.check("") is None
        listed = await tokens.list()
        assert [(one.name, one.last_used is not None) for one in listed] == [("laptop", True), ("phone", False)]
        await tokens.revoke("laptop")
        assert await tokens.check(secret) is None
        assert await tokens.check(other_secret) is not None
        await tokens.revoke(other.id)
        assert await tokens.check(other_secret) is None
        with pytest.raises(NotFound):
            await tokens.revoke("laptop")
        with pytest.raises(InvalidInput):
            await tokens.create(" ")
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


PLANTED = "zw_planted"


async def faults(database: Database) -> list[str]:
    """What `key verify` would name."""
    return await database.read(lambda sql: list(encryption.verify(sql.sql, sql.sql.values.columns)))


def plant(sql: sqlite3.Connection, proof: bytes = b"") -> None:
    """What somebody does who can write to the file but has no key."""
    row = ("tok_e", "e", hashlib.sha256(PLANTED.encode()).digest(), 0, proof)
    sql.execute("INSERT INTO tokens (id, name, hash, created_at, proof) VALUES (?, ?, ?, ?, ?)", row)


async def test_a_token_made_without_the_key_opens_nothing_and_is_told(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        tokens = Tokens(database)
        await database.write(lambda t: plant(t.sql))
        assert await tokens.check(PLANTED) is None
        assert database.damages.news() == ["tokens.proof of row tok_e does not open"]
        assert await tokens.count() == 0
        assert await faults(database) == ["tokens.proof of row tok_e"]
        await tokens.revoke("tok_e")
        assert await faults(database) == []


@pytest.mark.parametrize("change", ["id = 'tok_e'", "name = 'admin'", "hash = x'00'", "created_at = 1"])
async def test_no_part_of_a_token_can_be_changed(tmp_path: Path, change: str):
    async with Database.open(tmp_path / "db", KEYS) as database:
        tokens = Tokens(database)
        _, secret = await tokens.create("laptop")
        await database.write(lambda t: t.sql.execute(f"UPDATE tokens SET {change}"))
        assert await tokens.check(secret) is None
        assert await tokens.list() == []
        assert len(await faults(database)) == 1


async def test_the_proof_of_another_token_is_none(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        tokens = Tokens(database)
        await tokens.create("laptop")

        def copy(transaction: SqliteUnitOfWork) -> None:
            (proof,) = transaction.sql.execute("SELECT proof FROM tokens").fetchone()
            plant(transaction.sql, proof)

        await database.write(copy)
        assert await tokens.check(PLANTED) is None
        assert [token.name for token in await tokens.list()] == ["laptop"]


async def test_a_token_works_on_after_the_key_was_changed(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        _, secret = await Tokens(database).create("laptop")
    new = KeyRing(MasterKey(bytes(range(1, 33))), *KEYS)
    rekey.rekey(tmp_path / "db", new)
    async with Database.open(tmp_path / "db", KeyRing(new.sealing)) as database:
        assert await Tokens(database).check(secret) is not None


async def test_without_the_key_none_can_be_made_but_each_revoked(tmp_path: Path):
    async with (
        Database.open(tmp_path / "db", KEYS) as database,
        Database.open(tmp_path / "db", None, shared=True) as beside,
    ):
        _, secret = await Tokens(database).create("laptop")
        with pytest.raises(StoreError, match="master key"):
            await Tokens(beside).create("phone")
        assert [token.name for token in await Tokens(beside).list()] == ["laptop"]
        await Tokens(beside).revoke("laptop")
        assert await Tokens(database).count() == 0
        assert secret


async def test_a_token_revoked_by_the_command_line_soon_stops_working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with (
        Database.open(tmp_path / "db", KEYS) as database,
        Database.open(tmp_path / "db", KEYS, shared=True) as beside,
    ):
        tokens = Tokens(database)
        _, secret = await tokens.create("laptop")
        assert await tokens.check(secret) is not None
        await Tokens(beside).revoke("laptop")
        monkeypatch.setattr(module, "_TRUSTED", 0.0)
        assert await tokens.check(secret) is None
