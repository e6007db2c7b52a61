"""Auth files that lie under another bot's name, as after one wrong `cp` or `mv`: nobody runs as anybody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.test_at_rest import run
from tests.harness.chat import BOT_NUMBER, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.keys import KEYS
from tests.harness.sandbox import Sandbox
from tests.vault.test_binding import unbind
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.vfs import Vfs

OTHER = "4915100000199"


def exchange(folder: Path, one: str, other: str) -> None:
    for suffix in ("", "-wal"):
        a, b, aside = (folder / f"{name}.db{suffix}" for name in (one, other, "aside"))
        for source, target in ((a, aside), (b, a), (aside, b)):
            if source.exists():
                source.rename(target)


@pytest.mark.parametrize("auth_state", ["sealed", "plain", "sealed by an older zapwire"])
async def test_two_exchanged_files_block_both_bots_until_they_are_put_back(
    tmp_path: Path, sandbox: Sandbox, auth_state: str
) -> None:
    settings = {"ZAPWIRE_AUTH_STATE": auth_state.split(maxsplit=1)[0], "ZAPWIRE_MASTER_KEY": KEYS.text().strip()}
    bots = tmp_path / "sessions" / "bots"
    async with Daemon(tmp_path, sandbox.descriptor_file, **settings) as daemon:
        await linked_bot(daemon, sandbox)
        await linked_bot(daemon, sandbox, "other", OTHER)
    if auth_state == "sealed by an older zapwire":
        for name in ("shop", "other"):
            unbind(SealedDatabase(bots / f"{name}.db", Vfs.of(library_path()), KEYS))
    exchange(bots, "shop", "other")
    before = {name: (bots / f"{name}.db").read_bytes() for name in ("shop", "other")}
    async with Daemon(tmp_path, sandbox.descriptor_file, **settings) as daemon:
        for name in ("shop", "other"):
            bot = await daemon.until_state(name, "blocked")
            assert bot["code"] == "auth-foreign"
            assert "belongs to another bot" in bot["reason"]
            assert "put every file back" in bot["action"]
        await daemon.call("POST", "/v1/bots/shop/logout")  # destroys nothing of the other one
        status, problem = await daemon.ask("DELETE", "/v1/bots/other")
        assert (status, "belongs to another bot" in problem["detail"]) == (409, True)
        await daemon.until_state("shop", "blocked")
        if auth_state != "plain":  # a look into one in the clear moves its WAL into it
            assert {name: (bots / f"{name}.db").read_bytes() for name in ("shop", "other")} == before
    exchange(bots, "shop", "other")
    async with Daemon(tmp_path, sandbox.descriptor_file, **settings) as daemon:
        await daemon.call("POST", "/v1/bots/shop/connect")
        for name, number in (("shop", BOT_NUMBER), ("other", OTHER)):
            bot = await daemon.until_state(name, "connected")
            assert bot["phone"] == f"+{number}"
    if settings["ZAPWIRE_AUTH_STATE"] == "sealed":
        assert {(bots / f"{name}.db").read_bytes()[:4] for name in ("shop", "other")} == {b"SLD2"}


async def test_a_copy_of_another_bots_file_is_no_second_of_it_and_what_looks_at_the_files_says_so(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    bots = tmp_path / "sessions" / "bots"
    async with Daemon(tmp_path, sandbox.descriptor_file) as daemon:
        await linked_bot(daemon, sandbox)
        await linked_bot(daemon, sandbox, "other", OTHER)
    mine = (bots / "shop.db").read_bytes()
    shutil.copyfile(bots / "other.db", bots / "shop.db")
    for command in (("key", "verify"), ("doctor",)):
        code, out, errors = await run(*command, folder=tmp_path)
        assert code != 0
        assert "shop.db" in out.decode() + errors
        assert "it is the file of other" in out.decode() + errors
    async with Daemon(tmp_path, sandbox.descriptor_file) as daemon:
        assert (await daemon.until_state("shop", "blocked"))["code"] == "auth-foreign"
        assert (await daemon.until_state("other", "connected"))["phone"] == f"+{OTHER}"
        (bots / "shop.db").write_bytes(mine)
        await daemon.call("POST", "/v1/bots/shop/connect")
        assert (await daemon.until_state("shop", "connected"))["phone"] == f"+{BOT_NUMBER}"


async def test_a_database_that_was_lost_does_not_make_a_new_bot_the_old_account(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_MASTER_KEY=KEYS.text().strip()) as daemon:
        await linked_bot(daemon, sandbox)
    for path in (tmp_path / "sessions").glob("zapwire.db*"):
        path.unlink()
    async with Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_MASTER_KEY=KEYS.text().strip()) as daemon:
        status, problem = await daemon.ask("POST", "/v1/bots", {"id": "shop"})
        assert (status, problem["code"]) == (409, "auth-state-found")
        await daemon.call("POST", "/v1/bots", {"id": "shop", "auth_state": "adopt"})
        assert (await daemon.until_state("shop", "connected"))["phone"] == f"+{BOT_NUMBER}"
