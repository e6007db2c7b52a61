"""Copies of the installations in `data/`, each with the sandbox that its bots are linked to."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.daemon import Daemon
from tests.harness.fixtures import show_logs_on_failure
from tests.harness.sandbox import Sandbox

__all__ = ["show_logs_on_failure"]

DATA = Path(__file__).parent / "data"
KEPT = {"ZAPWIRE_KEEP_EVENTS_DAYS": "3650", "ZAPWIRE_KEEP_MESSAGES_DAYS": "3650"}
"""What is in the archives becomes no older than this."""


@dataclass(frozen=True)
class Installation:
    """A copy of an older installation, its daemon not started yet."""

    folder: Path
    env: dict[str, str]
    daemon: Daemon
    sandbox: Sandbox
    notes: dict[str, Any]


def unpack(name: str, into: Path) -> Path:
    """Unpack the archive; its sandbox takes free ports, as those that it had may be in use by others."""
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(into, filter="data")
    state = into / "sandbox" / "state.json"
    content = json.loads(state.read_text())
    content["ports"] = {}
    state.write_text(json.dumps(content))
    return into


async def _installation(folder: Path, **env: str) -> AsyncIterator[Installation]:
    async with Sandbox(folder / "sandbox") as sandbox:
        daemon = Daemon(folder, sandbox.descriptor_file, **KEPT, **env)
        async with daemon:
            env["ZAPWIRE_SESSIONS_DIR"] = str(folder / "sessions")
            yield Installation(folder, env, daemon, sandbox, json.loads((folder / "notes.json").read_text()))


@pytest_asyncio.fixture
async def sealed(tmp_path: Path) -> AsyncIterator[Installation]:
    folder = unpack("sealed", tmp_path)
    async for made in _installation(folder, ZAPWIRE_MASTER_KEY_FILE=str(folder / "TEST-ONLY-master.key")):
        yield made


@pytest_asyncio.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Installation]:
    async for made in _installation(unpack("plain", tmp_path), ZAPWIRE_AUTH_STATE="plain"):
        yield made


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The database of the sealed installation."""
    return unpack("sealed", tmp_path) / "sessions" / "zapwire.db"
