"""What sealing costs: a page, a transaction, a send, a pairing, the disk; sealed against plain in the same run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure.pairing import pair
from bench.measure.sending import stanzas
from bench.table import Table, percentile
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_pages import FRAME_HEADER, PAGE, FileKeys
from zapwire.vault.sqlite import EngineConnection
from zapwire.vault.vfs import Vfs

PAGES = 20_000
SECONDS = 1.0
TURNS = 3
PAIRINGS = 7
SENDS = 400
CONTACTS = 10
KINDS = ("sealed", "plain")
KILOBYTE = 1024


async def measure(table: Table, folder: Path, sandbox: Sandbox) -> None:
    """Pairs bots of two daemons that run side by side, and takes turns, so that both meet the same noise."""
    folder.mkdir()
    await asyncio.to_thread(_pages, table)
    await asyncio.to_thread(_transactions, table, folder)
    places = [folder / kind for kind in KINDS]
    for place in places:
        place.mkdir()
    async with (
        Daemon(places[0], sandbox.descriptor_file) as sealed,
        Daemon(places[1], sandbox.descriptor_file, ZAPWIRE_AUTH_STATE="plain") as plain,
    ):
        await _pairings(table, sandbox, [sealed, plain])
        await _sends(table, sandbox, [sealed, plain])
        _sizes(table, places)


def _pages(table: Table) -> None:
    keys, page = FileKeys.new(MasterKey.generate(), "bench"), os.urandom(PAGE - 32) + bytes(32)
    sealed, header = keys.seal_frame(56, page), os.urandom(FRAME_HEADER)
    for what, call in (
        ("seal a page", lambda: keys.seal_frame(56, page)),
        ("unseal a page", lambda: keys.open_frame(56, sealed)),
        ("seal a WAL frame header", lambda: keys.seal_frame_header(32, header)),
    ):
        table.add(what, (_microseconds(call), 0), "us")


def _microseconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(PAGES // 5):
            call()
        times.append((time.perf_counter() - started) / (PAGES // 5) * 1e6)
    return percentile(times, 0.5)


def _transactions(table: Table, folder: Path) -> None:
    vfs = Vfs.of(library_path())
    database = SealedDatabase(folder / "sealed.db", vfs, KeyRing(MasterKey.generate()))
    database.create()
    with (
        database.connect() as sealed,
        EngineConnection(vfs.code, str(folder / "plain.db"), "vfs=unix", create=True) as plain,
    ):
        plain.run("PRAGMA journal_mode=WAL")
        for connection in (sealed, plain):
            connection.run("CREATE TABLE session (id INTEGER PRIMARY KEY, data BLOB)")
        for level in ("FULL", "NORMAL"):
            rates: list[list[float]] = [[], []]
            for _ in range(TURNS):
                for column, connection in enumerate((sealed, plain)):
                    connection.run(f"PRAGMA synchronous={level}")
                    rates[column].append(_rate(connection))
            table.add(f"session updates, synchronous={level}", [percentile(each, 0.5) for each in rates], "/s")
    database.destroy()
    for suffix in ("", "-wal", "-shm"):
        (folder / f"plain.db{suffix}").unlink(missing_ok=True)


def _rate(connection: EngineConnection) -> float:
    started, count = time.perf_counter(), 0
    while time.perf_counter() < started + SECONDS:
        count += 1
        connection.run("INSERT OR REPLACE INTO session VALUES (?, ?)", count % 500, os.urandom(1500))
    return count / (time.perf_counter() - started)


async def _pairings(table: Table, sandbox: Sandbox, daemons: list[Daemon]) -> None:
    to_qr: list[list[float]] = [[], []]
    to_connected: list[list[float]] = [[], []]
    for number in range(PAIRINGS):
        for column, daemon in enumerate(daemons):
            name = f"{KINDS[column]}-{number}"
            seconds = await pair(sandbox, daemon, name, f"49151{column}0070{number:03}")
            to_qr[column].append(seconds[0] * 1000)
            to_connected[column].append(seconds[1] * 1000)
    table.add("connect to QR, p50", [percentile(each, 0.5) for each in to_qr], "ms", "plain + 300")
    table.add("scan to connected, p50", [percentile(each, 0.5) for each in to_connected], "ms", "plain + 300")


async def _sends(table: Table, sandbox: Sandbox, daemons: list[Daemon]) -> None:
    contacts = [f"4915100080{number:03}" for number in range(CONTACTS)]
    for contact in contacts:
        await sandbox.phone(contact)
        for kind, daemon in zip(KINDS, daemons, strict=True):
            await daemon.send(f"{kind}-0", contact, "warm up", wait=10)
    mark = time.time()
    started: list[dict[str, float]] = [{}, {}]
    for number in range(SENDS):
        for column in (0, 1) if number % 2 else (1, 0):
            daemon, bot, at = daemons[column], f"{KINDS[column]}-0", time.time()
            answer = await daemon.send(bot, contacts[number % CONTACTS], "latency", wait=10)
            message = await daemon.call("GET", f"/v1/bots/{bot}/messages/{answer['id']}")
            started[column][message["whatsapp_id"]] = at
    arrived = await stanzas(sandbox, "in", mark)
    figures = [[(arrived[sent] - at) * 1000 for sent, at in column.items()] for column in started]
    table.add("send to stanza, p50", [percentile(each, 0.5) for each in figures], "ms", "plain + 5 %")
    table.add("send to stanza, p95", [percentile(each, 0.95) for each in figures], "ms")


def _sizes(table: Table, places: list[Path]) -> None:
    sizes = []
    for place in places:
        files = (place / "sessions" / "bots").iterdir()
        sizes.append(sum(file.stat().st_size for file in files) / PAIRINGS / KILOBYTE)
    table.add("disk per bot, with the WAL", sizes, "KB")
