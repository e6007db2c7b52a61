"""kill -9 under load: no acknowledged commit is lost, and the file always opens."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.vault import writer
from tests.vault.conftest import Make
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase

ROOT = Path(__file__).parents[2]
TELLTALES = (b"CREATE TABLE", b"SQLite format", b"session")


@dataclass
class Victim:
    """A database with a key of its own, and what was acknowledged of it."""

    database: SealedDatabase
    master: MasterKey
    acknowledged: dict[int, int] = field(default_factory=dict)
    commits: int = 0

    async def round(self, seconds: float) -> None:
        """Write, be killed, and check."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.vault.writer", self.database.path, self.master.text(),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        first = await process.stdout.readline()
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        for line in [first, *(await process.stdout.read()).split(b"\n")]:
            with suppress(ValueError):  # the last line may be cut
                thread, number = map(int, line.split())
                self.acknowledged[thread] = max(number, self.acknowledged.get(thread, 0))
                self.commits += 1
        assert await process.wait() == -signal.SIGKILL, "it ended by itself"
        self.check()

    def check(self) -> None:
        for file in self.database.path.parent.glob(f"{self.database.path.name}*"):
            assert not any(word in file.read_bytes() for word in TELLTALES)
        assert self.database.query("PRAGMA integrity_check") == [("ok",)]
        sessions = {row[0]: row[1:] for row in self.database.query("SELECT * FROM session")}
        numbers: dict[int, list[int]] = {}
        for thread, number, size, data in self.database.query("SELECT * FROM log ORDER BY thread, number"):
            assert data == writer.data(thread, number, size)
            numbers.setdefault(thread, []).append(number)
        for thread, (number, data) in sessions.items():
            assert data == writer.data(thread, number, 1500)
            assert numbers[thread] == list(range(numbers[thread][0], number + 1)), "half a transaction"
        for thread, number in self.acknowledged.items():
            assert sessions.get(thread, (0,))[0] >= number, f"lost: {thread} {number}, have {sessions}"
        self.database.close()


@pytest.mark.parametrize(
    "rounds", [15, pytest.param(150, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])], ids=["ci", "soak"]
)
async def test_no_acknowledged_commit_is_lost(at: Make, rounds: int):
    """Two databases with different keys, so there are twice as many rounds."""
    victims = []
    for name in ("a.db", "b.db"):
        master = MasterKey.generate()
        victims.append(Victim(at(name, KeyRing(master)), master))
        victims[-1].database.create()
        victims[-1].database.close()
    chance = random.Random()
    for _ in range(rounds):
        await asyncio.gather(*(victim.round(chance.uniform(0.02, 0.7)) for victim in victims))
    commits = sum(victim.commits for victim in victims)
    print(f"{2 * rounds} kills, {commits} acknowledged commits, none lost")
    assert commits > 20 * rounds


_ENDING = """
import ctypes, os, sys, threading, time
from pathlib import Path
from tests.harness.keys import KEYS
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.vfs import Vfs
path, library = sys.argv[1:]
code = ctypes.CDLL(library)
Log = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
log = Log(lambda _data, _size: None)
code.GetAllDevices.argtypes, code.GetAllDevices.restype = [ctypes.c_char_p, Log], ctypes.c_void_p
database = SealedDatabase(Path(path), Vfs.of(Path(library)), KEYS)
if not database.exists():
    database.create()
database.open()
dsn = f"{path}?{database.options}&_foreign_keys=on&_synchronous=FULL&_rest="
calls = [0]
def call():
    while True:
        code.GetAllDevices(dsn.encode(), log)
        calls[0] += 1
for _ in range(3):
    threading.Thread(target=call, daemon=True).start()
while calls[0] < 6:
    time.sleep(0.01)
os.write(1, b"%d" % calls[0])
"""


@pytest.mark.parametrize(
    "rounds", [5, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])], ids=["ci", "soak"]
)
def test_the_interpreter_ends_cleanly_while_the_engines_threads_are_in_the_database(at: Make, rounds: int):
    database = at()
    for _ in range(rounds):
        command = [sys.executable, "-c", _ENDING, database.path, library_path()]
        done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=30, check=False, env={**os.environ})
        assert (done.returncode, done.stderr) == (0, b"")
        assert int(done.stdout) >= 6
        assert database.query("PRAGMA integrity_check") == [("ok",)]
        assert database.query("SELECT count(*) FROM whatsmeow_device") == [(0,)]
        database.close()
