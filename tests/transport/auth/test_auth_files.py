from __future__ import annotations

import json
import resource
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from tests.vault.test_binding import unbind
from zapwire.model.bots import BotId, Identity
from zapwire.model.errors import (
    Blocked,
    Conflict,
    InvalidInput,
    PairingTimedOut,
    SettingsError,
    TransportError,
)
from zapwire.runtime import durable_files
from zapwire.transport.whatsapp_web.auth import sealed as sealed_file
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile, differ, read_device
from zapwire.transport.whatsapp_web.auth.plain import PlainAuthFile
from zapwire.transport.whatsapp_web.auth.sealed import SealedAuthFile
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.pairing.engine_child import attempt as engine_attempt
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.vault.sealed_pages import FileKeys

SCHEMA = "CREATE TABLE whatsmeow_device (jid TEXT, lid TEXT, push_name TEXT)"
ROW = "INSERT INTO whatsmeow_device VALUES ('4915510000001:7@s.whatsapp.net', '111:7@lid', 'Bot')"
Write = Callable[[AuthFile, str], None]


def in_the_clear(file: AuthFile, sql: str) -> None:
    connection = sqlite3.connect(file.path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def sealed(file: SealedAuthFile, sql: str) -> None:
    file._database.query(sql)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a folder?"


@pytest.fixture(params=["plain", "sealed"])
def both(request: pytest.FixtureRequest, folder: Path) -> tuple[AuthFile, Write]:
    if request.param == "plain":
        return PlainAuthFile(folder, BotId("bot")), in_the_clear
    vfs = sealed_file.start(library_path(), folder, KEYS)
    return SealedAuthFile(folder, BotId("bot"), vfs, KEYS), sealed


async def test_a_copy_is_put_elsewhere_and_nothing_else_is(both: tuple[AuthFile, Write]):
    file, write = both
    await file.prepare()
    write(file, SCHEMA)
    write(file, ROW)
    copy = await file.copy()
    await file.destroy()
    for bad in (b"", b"junk", b"\0" * 8192, b"SQLite format 3", copy[1:]):
        with pytest.raises(InvalidInput) as error:
            await file.put(bad)
        assert error.value.field == "bundle"
        assert [one.name for one in file.path.parent.iterdir() if not one.name.startswith(".")] == []
    file.path.with_name("bot.db-wal").write_bytes(b"of an older one")
    await file.put(copy)
    device = await file.device()
    assert device is not None
    assert device.identity.push_name == "Bot"
    with pytest.raises(Conflict, match="there is an auth file"):
        await file.put(copy)


async def test_a_copy_that_does_not_fit_on_the_disk_leaves_nothing(both: tuple[AuthFile, Write]):
    file, write = both
    await file.prepare()
    write(file, SCHEMA)
    copy = await file.copy()
    await file.destroy()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(TransportError):
            await file.put(copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [one.name for one in file.path.parent.iterdir() if not one.name.startswith(".")] == []
    await file.put(copy)


async def test_a_sealed_file_is_destroyed_key_first_also_where_the_setting_is_plain(folder: Path):
    vfs = sealed_file.start(library_path(), folder, KEYS)
    file = SealedAuthFile(folder, BotId("bot"), vfs, KEYS)
    await file.prepare()
    file._database.close()
    second = folder / "second"
    second.hardlink_to(file.path)
    salt = second.read_bytes()[4:16]
    await PlainAuthFile(folder, BotId("bot")).destroy()
    assert not file.path.exists()
    assert salt not in second.read_bytes()


@pytest.mark.parametrize("in_engine", [False, True])
async def test_a_device_row_is_found(both: tuple[AuthFile, Write], in_engine: bool):
    file, write = both
    assert await file.device() is None
    await file.prepare()
    write(file, SCHEMA)
    if in_engine:
        file.opened_by_engine(lambda _error: None)
    assert await file.device() is None
    write(file, ROW)
    device = await file.device()
    assert device is not None
    assert device.identity == Identity("+4915510000001", "111@lid", "Bot")
    await file.destroy()
    assert await file.device() is None
    assert not list(file.path.parent.iterdir())
    await file.destroy()


@pytest.mark.parametrize("in_engine", [False, True])
async def test_a_damaged_plain_file_blocks_and_stays(folder: Path, in_engine: bool):
    file = PlainAuthFile(folder, BotId("bot"))
    await file.prepare()
    file.path.write_bytes(b"no database" * 500)
    if in_engine:
        file.opened_by_engine(lambda _error: None)
    with pytest.raises(Blocked, match="its auth database is damaged") as blocked:
        await file.device()
    assert blocked.value.action
    assert file.path.read_bytes() == b"no database" * 500


REASONS = {
    "another key": "auth state damaged or wrong key: the master key is another one",
    "cut": "auth state damaged or wrong key: ",
    "empty": "auth state damaged or wrong key: the file is empty",
    "noise": "auth state damaged or wrong key: the file is empty, cut short or no sealed database",
    "in the clear": "auth state damaged or wrong key: the file is not sealed",
}


@pytest.mark.parametrize("damage", ["another key", "cut", "empty", "noise", "in the clear", "deleted"])
async def test_a_sealed_file_that_does_not_open_blocks_and_stays(folder: Path, damage: str):
    vfs = sealed_file.start(library_path(), folder, KEYS)
    file = SealedAuthFile(folder, BotId("bot"), vfs, KEYS)
    await file.prepare()
    sealed(file, SCHEMA)
    sealed(file, ROW)
    assert await file.device()
    file._database.close()
    match damage:
        case "cut":
            file.path.write_bytes(file.path.read_bytes()[:-4096])
        case "empty":
            file.path.write_bytes(b"")
        case "noise":
            file.path.write_bytes(b"no database" * 500)
        case "in the clear":
            file.path.unlink()
            in_the_clear(file, SCHEMA)
        case "deleted":
            file.path.unlink()
    before = file.path.read_bytes() if file.path.exists() else None
    again = SealedAuthFile(
        folder, BotId("bot"), vfs, KeyRing(MasterKey.generate()) if damage == "another key" else KEYS
    )
    for _ in range(2):
        with pytest.raises(Blocked, match="is missing" if damage == "deleted" else REASONS[damage]) as blocked:
            await again.device()
        assert blocked.value.condition == ("auth-missing" if damage == "deleted" else "auth-damaged")
    assert "log the bot out" in blocked.value.action
    assert (file.path.read_bytes() if file.path.exists() else None) == before
    await again.destroy()
    assert await again.device() is None


async def test_a_file_that_another_process_has_is_tried_again_later(folder: Path):
    vfs = sealed_file.start(library_path(), folder, KEYS)
    file = SealedAuthFile(folder, BotId("bot"), vfs, KEYS)
    await file.prepare()
    with pytest.raises(TransportError, match="another process works with"):
        await SealedAuthFile(folder, BotId("bot"), vfs, KEYS).device()


async def test_what_was_in_the_clear_is_sealed_at_the_start(folder: Path):
    plain = PlainAuthFile(folder, BotId("bot"))
    await plain.prepare()
    in_the_clear(plain, SCHEMA)
    in_the_clear(plain, ROW)
    file = SealedAuthFile(folder, BotId("bot"), sealed_file.start(library_path(), folder, KEYS), KEYS)
    assert await file.device()
    file._database.close()
    with pytest.raises(Blocked, match='the auth state is sealed, but auth_state is "plain"'):
        await plain.device()


def test_where_nothing_can_be_sealed_nothing_starts_and_the_way_out_is_named(folder: Path, monkeypatch):
    def broken(self: FileKeys, offset: int, page: bytes) -> bytes:
        return bytes(page)

    monkeypatch.setattr(FileKeys, "seal_frame", broken)
    with pytest.raises(SettingsError, match=r'Nothing was started.*only auth_state = "plain"') as refusal:
        sealed_file.start(library_path(), folder, KEYS)
    assert refusal.value.field == "auth_state"
    monkeypatch.undo()
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(SettingsError, match=r"sessions_dir: .* cannot be used"):
        sealed_file.start(library_path(), folder, KEYS)


async def test_the_folder_does_not_reach_into_the_options(both: tuple[AuthFile, Write]):
    file, _ = both
    await file.prepare()
    path, _, options = file.dsn.partition("?")
    assert path.endswith("/a%20folder%3F/bot.db")
    assert options.endswith("&_rest=")
    assert file.for_child()["dsn"] == file.dsn


async def test_the_child_gets_the_key_of_its_file_only(folder: Path):
    file = SealedAuthFile(folder, BotId("bot"), sealed_file.start(library_path(), folder, KEYS), KEYS)
    await file.prepare()
    told = json.dumps(file.for_child())
    assert KEYS.sealing.text() not in told
    assert file._database.keys.key.hex() in told
    assert file._database.keys.key.hex() not in file.dsn


def test_a_device_without_lid_or_name():
    device = read_device(("4915510000001@s.whatsapp.net", None, ""))
    assert device is not None
    assert device.identity == Identity("+4915510000001", None, None)


async def emit(_event: object) -> None:
    pass


async def test_the_last_code_that_runs_out_is_a_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_attempt, "FIRST_QR_LASTS", 0)
    attempt = engine_attempt.ChildAttempt("bot", PlainAuthFile(tmp_path, BotId("bot")), None, {})
    await attempt._take({"qr": "code"}, emit)
    with pytest.raises(PairingTimedOut):
        await attempt._take({"status": "timeout"}, emit)


async def test_a_timeout_before_the_code_ran_out_is_a_lost_connection(tmp_path):
    attempt = engine_attempt.ChildAttempt("bot", PlainAuthFile(tmp_path, BotId("bot")), None, {})
    await attempt._take({"qr": "code"}, emit)
    with pytest.raises(TransportError, match="lost while pairing"):
        await attempt._take({"status": "timeout"}, emit)


async def test_whoever_looks_from_outside_knows_no_secret(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PlainAuthFile(folder, BotId("bot"))
    await file.prepare()
    in_the_clear(file, SCHEMA)
    seen, python = tmp_path / "environment", tmp_path / "python"
    python.write_text(f'#!/bin/sh\nenv >{seen}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("ZAPWIRE_MASTER_KEY", "5" * 64)
    monkeypatch.setenv("CLOUD_TOKEN", "of-somebody-else")
    assert await file._read_outside() is None
    assert "PATH=" in seen.read_text()
    assert "5" * 64 not in seen.read_text()
    assert "CLOUD_TOKEN" not in seen.read_text()


async def of_an_older_zapwire(folder: Path) -> SealedAuthFile:
    vfs = sealed_file.start(library_path(), folder, KEYS)
    old = SealedAuthFile(folder, BotId("bot"), vfs, KEYS)
    await old.prepare()
    sealed(old, SCHEMA)
    sealed(old, ROW)
    unbind(old._database)
    return SealedAuthFile(folder, BotId("bot"), vfs, KEYS)


async def test_the_file_of_an_older_zapwire_is_bound_at_the_first_start(folder: Path):
    file = await of_an_older_zapwire(folder)
    device = await file.device()
    dsn = file.dsn
    await file.bind()
    assert await file.device() == device
    assert file.dsn != dsn  # another salt
    assert file.path.read_bytes()[:4] == b"SLD2"
    raw = file.path.read_bytes()
    await file.bind()
    assert file.path.read_bytes() == raw


async def test_a_file_that_cannot_be_bound_now_is_used_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch):
    file = await of_an_older_zapwire(folder)
    device = await file.device()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable_files, "publish", full)
        await file.bind()
    assert file.dsn  # the engine can open it
    assert await file.device() == device
    await file.bind()
    assert file.path.read_bytes()[:4] == b"SLD2"


@pytest.mark.parametrize("kind", ["plain", "sealed"])
async def test_a_link_to_another_bots_file_is_blocked(folder: Path, kind: str):
    make = partial(PlainAuthFile, folder)
    if kind == "sealed":
        make = partial(SealedAuthFile, folder, vfs=sealed_file.start(library_path(), folder, KEYS), ring=KEYS)
    other, write = make(bot=BotId("other")), in_the_clear if kind == "plain" else sealed
    await other.prepare()
    write(other, SCHEMA)
    write(other, ROW)
    (folder / "bot.db").symlink_to(folder / "other.db")
    with pytest.raises(Blocked, match="belongs to another bot") as blocked:
        await make(bot=BotId("bot")).device()
    assert blocked.value.condition == "auth-foreign"


@pytest.mark.parametrize(
    ("device", "account", "are_different"),
    [
        (Identity("+1", "1@lid"), Identity("+1", "1@lid"), False),
        (Identity("+1", "1@lid"), Identity(), False),
        (Identity("+1", None), Identity(None, "1@lid"), False),
        (Identity("+2", "1@lid"), Identity("+1", "1@lid"), False),  # the number was changed
        (Identity("+2", "2@lid"), Identity("+1", "1@lid"), True),
        (Identity("+2", "2@lid"), Identity("+1", None), True),
    ],
)
def test_whether_a_device_is_another_accounts(device: Identity, account: Identity, are_different: bool):
    assert differ(device, account) == are_different
