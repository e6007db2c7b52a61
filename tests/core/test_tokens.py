"""API tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.core import tokens as module
from zapwire.core.tokens import Tokens
from zapwire.errors import InvalidInput, NotFound
from zapwire.store.db import Database


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
