from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from zapwire.errors import PairingTimedOut, StoreError, TransportError
from zapwire.model import BotId, Identity
from zapwire.transport.whatsapp_web import pairing
from zapwire.transport.whatsapp_web.devices import DeviceFile


@pytest.fixture
def file(tmp_path: Path) -> DeviceFile:
    file = DeviceFile(tmp_path / "a folder?", BotId("bot"))
    file.prepare()
    return file


def store(file: DeviceFile, *rows: tuple[str, str | None, str]) -> None:
    connection = sqlite3.connect(file.path)
    connection.execute("CREATE TABLE IF NOT EXISTS whatsmeow_device (jid TEXT, lid TEXT, push_name TEXT)")
    connection.executemany("INSERT INTO whatsmeow_device VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("in_engine", [False, True])
async def test_a_device_row_is_found(file: DeviceFile, in_engine: bool):
    assert await file.device() is None
    store(file)
    if in_engine:
        file.opened_by_engine()
    assert await file.device() is None
    store(file, ("4915510000001:7@s.whatsapp.net", "111:7@lid", "Bot"))
    device = await file.device()
    assert device is not None
    assert device.identity == Identity("+4915510000001", "111@lid", "Bot")


@pytest.mark.parametrize("in_engine", [False, True])
async def test_a_damaged_file_is_an_error(file: DeviceFile, in_engine: bool):
    file.path.write_bytes(b"no database" * 500)
    if in_engine:
        file.opened_by_engine()
    with pytest.raises(StoreError, match="cannot be read"):
        await file.device()


def test_the_folder_does_not_reach_into_the_options(file: DeviceFile):
    path, _, options = file.dsn.partition("?")
    assert path.endswith("/a%20folder%3F/bot.db")
    assert options.endswith("&_rest=")


def test_destroying_twice_is_fine(file: DeviceFile):
    file.destroy()
    file.destroy()
    assert not file.path.exists()


async def emit(_event: object) -> None:
    pass


async def test_the_last_code_that_runs_out_is_a_timeout(monkeypatch):
    monkeypatch.setattr(pairing, "FIRST_QR_LASTS", pairing.timedelta(0))
    attempt = pairing.Pairing("bot", "x.db", None, {})
    await attempt._take({"qr": "code"}, emit)
    with pytest.raises(PairingTimedOut):
        await attempt._take({"status": "timeout"}, emit)


async def test_a_timeout_before_the_code_ran_out_is_a_lost_connection():
    attempt = pairing.Pairing("bot", "x.db", None, {})
    await attempt._take({"qr": "code"}, emit)
    with pytest.raises(TransportError, match="lost while pairing"):
        await attempt._take({"status": "timeout"}, emit)
