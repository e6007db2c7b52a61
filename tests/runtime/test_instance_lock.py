"""One daemon per sessions folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.daemon.test_program import zapwire
from zapwire.model.errors import StoreError
from zapwire.runtime import instance_lock


def test_the_second_is_told_who_has_it(tmp_path: Path):
    assert instance_lock.holder(tmp_path) is None
    with instance_lock.hold(tmp_path) as lock:
        lock.listening("http://127.0.0.1:1")
        refused = pytest.raises(StoreError, match=rf"daemon \(process {os.getpid()}, since .*http://127.0.0.1:1")
        with refused, instance_lock.hold(tmp_path, "key rotate"):
            pass
        found = instance_lock.holder(tmp_path)
        assert found is not None
        assert (found.what, found.pid, found.url) == ("daemon", os.getpid(), "http://127.0.0.1:1")
    assert instance_lock.holder(tmp_path) is None
    with instance_lock.hold(tmp_path, "key rotate"):
        pass


async def test_a_second_daemon_ends_with_a_word(tmp_path: Path):
    async with zapwire(tmp_path, "serve") as first:
        url = (await first.line("listening on")).removeprefix("zapwire listening on ")
        async with zapwire(tmp_path, "serve", ZAPWIRE_DATABASE=str(tmp_path / "other.db")) as second:
            code, said = await second.rest()
        assert code == 1
        assert f"another zapwire daemon (process {first.process.pid}" in said
        assert url in said
        assert not (tmp_path / "other.db").exists()
        await first.end()
