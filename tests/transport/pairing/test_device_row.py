"""What our client leaves behind for the engine, against what the engine leaves behind for itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness.sandbox import Phone, Sandbox
from tests.transport.driven import Driven
from tests.transport.pairing.conftest import scanned
from zapwire.model.errors import TransportError
from zapwire.transport.whatsapp_web.pairing.own import device_row, pair_success
from zapwire.transport.whatsapp_web.pairing.own.device_row import PairedDevice
from zapwire.transport.whatsapp_web.pairing.own.registration import CompanionKeys
from zapwire.wire.adv import CompanionIdentity
from zapwire.wire.node import Node, WireJid

ROWS = {
    "whatsmeow_device": "lid, facebook_uuid, registration_id, noise_key, identity_key, signed_pre_key, "
    "signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, "
    "adv_device_sig, platform, business_name, lid_migration_ts",
    "whatsmeow_lid_map": "lid, pn",
    "whatsmeow_identity_keys": "our_jid, their_id, identity",
    "whatsmeow_version": "version, compat",
}


async def test_the_rows_are_the_engines(tmp_path: Path, sandbox: Sandbox, phone: Phone):
    left = []
    for way in ("engine", "own"):
        (folder := tmp_path / way).mkdir()
        env = {"DRIVER_PAIRING": way, "DRIVER_KEYS": "plain"}
        async with Driven(folder, sandbox.descriptor_file, env=env) as driver:
            bot = driver.bot("bot")
            await scanned(bot, phone)
            await bot.until("Connected")
        left.append({table: rows(folder / "sessions" / "bot.db", table) for table in ROWS})
    assert left[0] == left[1]


def rows(database: Path, table: str) -> list[list[Any]]:
    """Numbers and texts as they are, but the device's number; of keys and signatures how long they are."""
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute(f"SELECT {ROWS[table]} FROM {table}").fetchall()
    if table == "whatsmeow_identity_keys":  # the login adds those of other people
        found = [row for row in found if row[1].endswith("_1:0")]
    return sorted([shape(value) for value in row] for row in found)


def shape(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, int) and value > 1 << 16:
        return "a large number"
    return str(value).replace(":1@", ":N@").replace(":2@", ":N@")


class File:
    """In place of the auth file: notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def put(self, _copy: bytes) -> None:
        self.events.append("put")

    async def destroy(self) -> None:
        self.events.append("destroyed")


class Talk:
    def __init__(self, events: list[str], *, broken: bool) -> None:
        self._events, self._broken = events, broken

    async def send(self, _node: Node) -> None:
        self._events.append("sent")
        if self._broken:
            raise ConnectionResetError


@pytest.mark.parametrize("broken", [False, True])
async def test_a_device_is_stored_before_it_is_signed_for_and_destroyed_when_that_fails(
    monkeypatch: pytest.MonkeyPatch, broken: bool
):
    monkeypatch.setattr(device_row, "image", lambda _template, _device: b"image")
    file = File()
    identity = CompanionIdentity(b"details", b"k" * 32, b"s" * 64, b"d" * 64, 1)
    device = PairedDevice(WireJid("1", device=1), None, CompanionKeys.generate(), b"", identity, "", "")
    work = pair_success.store_and_sign(Talk(file.events, broken=broken), file, b"", Node("iq"), device)  # type: ignore[arg-type]
    if broken:
        with pytest.raises(TransportError, match="lost while pairing"):
            await work
    else:
        await work
    assert file.events == ["put", "sent", *(["destroyed"] if broken else [])]
