"""The state file: everything that outlives a restart, the keys of CA and Noise root included, as JSON.

Written to a new file that replaces the old one, at most once a second after changes, and at the end. A large state is
written less often, or a thousand clients would wait for it most of the time. Media are files of
their own, in a folder beside it: they never change, and would make every write as large as they are together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from zapwire.sandbox.server import state_json
from zapwire.sandbox.server.state.certificate_authority import Authority
from zapwire.sandbox.server.state.noise_identity import NoiseIdentity
from zapwire.sandbox.server.world import World

log = logging.getLogger(__name__)

VERSION: Final = 1
PAUSE_SECONDS: Final = 1.0
PAUSE_FACTOR: Final = 20
"""Between two writes pass that many times the seconds that one takes."""

Dump = Callable[[], Any]
Load = Callable[[Any], None]


class StateError(Exception):
    """The file is not a state of this version of the sandbox."""


class StateFile:
    """Reads the file when it is made, writes it while it is entered; without a path all is new and not kept."""

    def __init__(self, world: World, path: Path | None) -> None:
        self.path = path
        self.ports: dict[str, int] = {}
        self._world = world
        self._sections: dict[str, Dump] = {}
        self._read: dict[str, Any] = {}
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._write_lock = asyncio.Lock()
        if path is not None and path.exists():
            self._load(path)
        else:
            self.authority = Authority.generate()
            self.identity = NoiseIdentity.generate()

    def add_section(self, name: str, dump: Dump, load: Load) -> None:
        """Keep something more in the file: *dump* gives JSON values, *load* gets now what was saved, if any."""
        self._sections[name] = dump
        if name in self._read:
            load(self._read.pop(name))

    async def __aenter__(self) -> Self:
        if self.path is not None:
            self._world.on_change = self._dirty.set
            self._task = asyncio.get_running_loop().create_task(self._write_changes(), name="sandbox state")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._world.on_change = lambda: None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.write()

    async def write(self) -> None:
        """Write the file now."""
        if self.path is None:
            return
        async with self._write_lock:
            self._dirty.clear()
            content, files = self._dump(), self._world.media.files()
            writing = asyncio.ensure_future(asyncio.to_thread(_write, self.path, content, files))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                # the thread goes on; nobody else may write the same files before it is done
                await writing
                raise

    async def _write_changes(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            await self._dirty.wait()
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self.write()
            except OSError as error:
                log.warning("the sandbox's state cannot be written: %s", error)
            pause = max(PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - began))

    def _dump(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "authority": {
                "certificate": self.authority.certificate.decode(),
                "key": self.authority.key.decode(),
            },
            "identity": self.identity.to_json(),
            "ports": self.ports,
            "world": state_json.dump(self._world),
            "sections": {**self._read, **{name: dump() for name, dump in self._sections.items()}},
        }

    def _load(self, path: Path) -> None:
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["version"] != VERSION:
                raise StateError(f"{path} was written by another version of the sandbox")
            authority = content["authority"]
            self.authority = Authority(authority["certificate"].encode(), authority["key"].encode())
            self.identity = NoiseIdentity.from_json(content["identity"])
            self.ports = content["ports"]
            self._read = content["sections"]
            state_json.load(self._world, content["world"])
            for name in content["world"]["media"]:
                self._world.media.add((_media_folder(path) / name).read_bytes())
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StateError(f"{path} is not a state of the sandbox") from error


def _media_folder(path: Path) -> Path:
    return path.with_suffix(".media")


def _write(path: Path, content: dict[str, Any], files: dict[str, bytes]) -> None:
    folder = _media_folder(path)
    kept = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if files:
        folder.mkdir(mode=0o700, exist_ok=True)
    for name in files.keys() - kept:
        new = folder / f"{name}.new"
        new.write_bytes(files[name])
        new.replace(folder / name)
    _replace(path, content)
    for name in kept - files.keys():
        (folder / name).unlink()


def _replace(path: Path, content: dict[str, Any]) -> None:
    new = path.with_suffix(path.suffix + ".new")
    with open(new, "w", encoding="utf-8", opener=_private) as file:
        # In one piece: json.dump into a file is written in Python, and would hold up the event loop's thread.
        file.write(json.dumps(content, separators=(",", ":")))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _private(path: str, flags: int) -> int:
    # The file holds private keys.
    return os.open(path, flags, 0o600)
