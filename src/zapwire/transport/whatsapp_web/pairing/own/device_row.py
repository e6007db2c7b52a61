"""The auth database of a bot that was just paired: what the engine would have stored, without the engine.

The schema is learnt from the engine itself: it makes an empty store in memory (`Library.make_store`), and that is
copied in the shape that seals. The rows are put into the copy by Python's own SQLite in memory, and the bytes go to
`AuthFile.put`, which is all or nothing: there is never a file without a device, and no second SQLite opens the file.

Source of the rows: whatsmeow, store/sqlstore (`PutDevice`, `PutLIDMapping`, `PutIdentity`) and pair.go.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.pairing.own.registration import PREKEY_ID, CompanionKeys
from zapwire.vault import sqlite
from zapwire.vault.keys import OVERHEAD
from zapwire.vault.sealed_pages import PAGE
from zapwire.vault.sqlite import EngineConnection
from zapwire.wire.adv import CompanionIdentity
from zapwire.wire.node import WireJid

_IN_MEMORY: Final = "vfs=memdb"
_MODE: Final = slice(18, 20)
"""Bytes of a database's header that say whether it has a WAL (SQLite's file format, 1.3)."""
_NO_WAL: Final = b"\1\1"
_WAL: Final = b"\2\2"
_LID_AGENT: Final = "_1"
"""Of a LID in the name of a Signal session (whatsmeow, types/jid.go)."""


@dataclass(frozen=True, slots=True)
class PairedDevice:
    """What a pairing gave."""

    jid: WireJid
    lid: WireJid | None
    keys: CompanionKeys
    adv_secret: bytes
    """The last one of the attempt."""
    identity: CompanionIdentity
    platform: str
    """Of the phone."""
    business_name: str


def learn_template(library: Library, path: Path) -> bytes:
    """An empty store of this very build of the engine at *path*, as bytes, which takes our rows; blocks for some
    milliseconds.

    Raises `SqliteError`, `sqlite3.Error`, `TransportError`. Kept in memory only, as it belongs to this build.
    """
    name = f"/template-{os.urandom(8).hex()}"
    library.make_store(f"{name}?{_IN_MEMORY}&_foreign_keys=on&_rest=".encode())
    code = sqlite.load(path)
    copy = f"{name}-copy"
    with (
        EngineConnection(code, copy, _IN_MEMORY, create=True) as memory,
        EngineConnection(code, name, _IN_MEMORY) as connection,
    ):
        connection.run(f"PRAGMA page_size={PAGE}")
        connection.reserve(OVERHEAD)  # last: choosing a page size takes it back
        connection.run(f"VACUUM INTO 'file:{copy}?{_IN_MEMORY}'")
        template = memory.image()
    image(template, _sample())
    return template


def image(template: bytes, device: PairedDevice) -> bytes:
    """The auth database that holds *device*, as `AuthFile.put` takes it. Raises `sqlite3.Error`."""
    database = sqlite3.connect(":memory:")
    try:
        # Python's SQLite does not open an image that says it has a WAL.
        database.deserialize(template[: _MODE.start] + _NO_WAL + template[_MODE.stop :])
        with database:
            _insert(database, device)
        made = database.serialize()
    finally:
        database.close()
    return made[: _MODE.start] + _WAL + made[_MODE.stop :]


def _sample() -> PairedDevice:
    """A device that is nobody's."""
    identity = CompanionIdentity(b"details", bytes(32), bytes(64), bytes(64), 1)
    return PairedDevice(WireJid("1", device=1), WireJid("2", "lid", 1), CompanionKeys.generate(), b"", identity, "", "")


def _insert(database: sqlite3.Connection, device: PairedDevice) -> None:
    keys, identity = device.keys, device.identity
    columns = {
        "jid": _full(device.jid),
        "lid": None if device.lid is None else _full(device.lid),
        "registration_id": keys.registration_id,
        "noise_key": keys.noise.private,
        "identity_key": keys.identity.private,
        "signed_pre_key": keys.prekey.private,
        "signed_pre_key_id": PREKEY_ID,
        "signed_pre_key_sig": keys.prekey_signature,
        "adv_key": device.adv_secret,
        "adv_details": identity.details,
        "adv_account_sig": identity.account_signature,
        "adv_account_sig_key": identity.account_key,
        "adv_device_sig": identity.device_signature,
        "platform": device.platform,
        "business_name": device.business_name,
    }
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    database.execute(
        f"INSERT INTO whatsmeow_device ({names}) VALUES ({places})",  # noqa: S608 - names of ours
        tuple(columns.values()),
    )
    phone = f"{device.jid.user}:0"
    if device.lid is not None:
        phone = f"{device.lid.user}{_LID_AGENT}:0"
        database.execute("INSERT INTO whatsmeow_lid_map (lid, pn) VALUES (?, ?)", (device.lid.user, device.jid.user))
    database.execute(
        "INSERT INTO whatsmeow_identity_keys (our_jid, their_id, identity) VALUES (?, ?, ?)",
        (_full(device.jid), phone, identity.account_key),
    )


def _full(jid: WireJid) -> str:
    return f"{jid.user}:{jid.device}@{jid.server}"
