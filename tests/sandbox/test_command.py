"""`python -m zapwire.sandbox` as a program: its one line, its end, its state."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.harness.program import Program
from tests.harness.sandbox import Sandbox

ANA, BOB = "4915100000001", "4915100000002"


async def test_state_survives_sigterm_and_ports_stay(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    await sandbox.start()
    try:
        assert set(sandbox.descriptor) == {"socket_url", "noise_root", "proxy", "ca", "admin"}
        assert len(bytes.fromhex(sandbox.descriptor["noise_root"])) == 32
        ana, bob = await sandbox.phone(ANA, "Ana"), await sandbox.phone(BOB, "Bob")
        await ana.send(BOB, "before")
        page = await bob.call("GET", "/inbox", after=0, wait=10)
        before = sandbox.descriptor
        assert await sandbox.stop() == 0
        assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0

        await sandbox.start()
        assert sandbox.descriptor == before
        assert [p["push_name"] for p in (await sandbox.call("GET", "/phones"))["phones"]] == ["Ana", "Bob"]
        assert (await bob.call("GET", "/inbox", after=0, wait=0))["messages"] == page["messages"]
        await ana.send(BOB, "after")
        later = await bob.call("GET", "/inbox", after=page["next"], wait=10)
        assert [m["text"] for m in later["messages"]] == ["after"]
    finally:
        assert await sandbox.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "nonsense"], "HOST:PORT"),
        (["--state", "{folder}/broken.json"], "cannot start"),
        (["--phone", "nobody=Ana"], "cannot start"),
    ],
)
async def test_what_cannot_work_is_told_in_words(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    given = [argument.format(folder=tmp_path) for argument in arguments]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zapwire.sandbox", *given, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    assert process.returncode not in {0, None}
    assert words in told.decode()
    assert "Traceback" not in told.decode()


async def test_people_have_phones_from_the_start(tmp_path: Path) -> None:
    async with Sandbox(tmp_path, "--phone", f"{ANA}=Ana", "--phone", BOB) as sandbox:
        phones = (await sandbox.call("GET", "/phones"))["phones"]
        assert [(p["phone"], p["push_name"]) for p in phones] == [(ANA, "Ana"), (BOB, "")]


async def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    program = Program(tmp_path / "log", "zapwire.sandbox")
    await program.start()
    await program.line("socket_url")
    assert await program.stop(signal.SIGINT) == 0
    assert len(program.output) == 2  # the line and the end
