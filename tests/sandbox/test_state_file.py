"""What outlives a restart of the server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.sandbox.recording import Recorder, fan_out
from tests.sandbox.served import PHONE, alice, pair
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.state_file import StateError, StateFile
from zapwire.sandbox.server.world import World
from zapwire.wire.node import Node

pytestmark = pytest.mark.usefixtures("short_waits")


async def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    async with SandboxServer(World(), state=path) as server:
        descriptor = server.descriptor
        server.world.create_account(PHONE, "Alice")
        client, number = await pair(server)
        phone = Recorder(server.world, alice(server), 0)
        server.world.attach(alice(server), 0, phone)
        await phone.send(fan_out(alice(server).lid_jid, "m1", alice(server).lid_jid.with_device(number)))
        group = server.world.groups.create("Lunch", alice(server))
        server.state.add_section("phones", lambda: ["kept"], lambda _: None)
        server.world.media.add(b"a picture")
        media = server.world.media.files()
    assert path.stat().st_mode & 0o777 == 0o600

    async with SandboxServer(World(), state=path) as server:
        assert server.descriptor == descriptor
        restored: list[list[str]] = []
        server.state.add_section("phones", lambda: ["kept"], restored.append)
        assert restored == [["kept"]]
        assert server.world.media.files() == media
        assert server.world.groups.get(group.jid) == group
        async with await client.connect(client.login(PHONE, number)):
            assert (await client.next()).tag == "success"
            await client.ask("set", "passive", Node("active"))
            assert (await client.until("message")).text("id") == "m1"
        assert server.world.accounts[PHONE].devices[number].device_identity


async def test_media_are_written_once_and_removed_with_their_store(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    world = World()
    world.media.add(b"a picture")
    async with SandboxServer(world, state=path) as server:
        await server.state.write()
        (file,) = (tmp_path / "state.media").iterdir()
        written = file.stat().st_mtime_ns
        await server.state.write()
        assert file.stat().st_mtime_ns == written
    async with SandboxServer(World(), state=path) as server:
        file.unlink()
        await server.state.write()
        assert file.read_bytes() == b"a picture"
    file.unlink()
    with pytest.raises(StateError):
        StateFile(World(), path)


async def test_changes_are_written_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zapwire.sandbox.server.state_file.PAUSE_SECONDS", 0)
    path = tmp_path / "state.json"
    async with SandboxServer(World(), state=path) as server:
        server.world.create_account(PHONE)
        async with asyncio.timeout(10):
            while not path.exists() or PHONE not in path.read_text():  # noqa: ASYNC110  a file wakes nobody
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"version": 999})])
async def test_a_strange_state_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(StateError):
        StateFile(World(), path)
    assert path.read_text() == content
