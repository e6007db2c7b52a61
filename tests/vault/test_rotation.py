"""The master key is changed, whatever happens meanwhile; the commands around it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zapwire import unlocking
from zapwire.settings import Settings
from zapwire.store import sealing
from zapwire.vault import files, sources
from zapwire.vault.keys import Damaged, KeyRing, MasterKey

STEPS = 6
"""The new key, three auth files, the database, the old key."""


def run(*arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"ZAPWIRE_MASTER_KEY": key} if key else {})}
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment, check=False
    )


def rotating(folder: Path, *what: str) -> int:
    done = run("tests.vault.rotating", str(folder), *what)
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    rotating(folder, "make")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "sessions"))


def keys(folder: Path) -> KeyRing:
    source = sources.find(folder)
    assert source is not None
    return source.keys


@pytest.mark.parametrize("die_at", range(STEPS))
def test_killed_at_any_step_everything_opens_and_the_next_call_ends_it(folder: Path, die_at: int):
    [old] = keys(folder)
    assert rotating(folder, "rotate", str(die_at)) == -9
    rotating(folder, "check")
    assert rotating(folder, "rotate") == 0
    rotating(folder, "check")
    [new] = keys(folder)
    assert new != old
    assert sealing.fingerprint(folder / "zapwire.db") == new.fingerprint
    for bot in ("a", "b", "c"):
        with pytest.raises(Damaged):
            files.unlock(folder / "bots" / f"{bot}.db", KeyRing(old))


def test_a_file_that_does_not_open_keeps_the_old_key(folder: Path):
    [old] = keys(folder)
    damaged = folder / "bots" / "b.db"
    content = b"\0" * 4096 + damaged.read_bytes()[4096:]
    damaged.write_bytes(content)
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    assert done.returncode == 1
    assert "the old key is kept, as these auth files do not open: b.db" in done.stderr
    assert old in list(keys(folder))
    assert len(keys(folder)) == 2
    assert damaged.read_bytes() == content
    damaged.unlink()
    assert run("zapwire", "key", "rotate", "--sessions-dir", str(folder)).returncode == 0
    assert len(keys(folder)) == 1


def test_a_key_given_as_a_variable_is_changed_by_a_person(folder: Path):
    [old], new = keys(folder), MasterKey.generate()
    (folder / "master.key").unlink()
    command = ("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    done = run(*command, key=old.text())
    assert done.returncode == 2
    assert "give two lines there" in done.stderr
    done = run(*command, key=KeyRing(new, old).text())
    assert (done.returncode, "leave only the first key" in done.stdout) == (0, True)
    done = run("zapwire", "key", "verify", "--sessions-dir", str(folder), key=new.text())
    assert (done.returncode, done.stdout) == (0, "all of it opens: the database and 3 auth files\n")


def test_status_and_verify(folder: Path):
    [key] = keys(folder)
    where = ("--sessions-dir", str(folder))
    done = run("zapwire", "key", "status", *where)
    assert f"master key   {key.fingerprint} (beside the data, {folder}/master.key)" in done.stdout
    assert "protects copies of the data alone" in done.stdout
    assert f"auth files   3 sealed with {key.fingerprint}" in done.stdout
    assert key.text()[:16] not in done.stdout
    page = 4096
    for bot, place in (("a", 2 * page + 100), ("c", 100)):
        file = folder / "bots" / f"{bot}.db"
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        file.write_bytes(content)
    done = run("zapwire", "key", "verify", *where)
    assert done.returncode == 1
    assert sorted(line.split(":")[0] for line in done.stdout.splitlines()) == ["a.db", "c.db"]
    assert "1 damaged: c.db" in run("zapwire", "key", "status", *where).stdout


def test_generate(tmp_path: Path):
    printed = run("zapwire", "key", "generate").stdout
    assert len(KeyRing.parse(printed.encode())) == 1
    file = tmp_path / "new.key"
    assert run("zapwire", "key", "generate", "--out", str(file)).stdout == ""
    assert file.stat().st_mode & 0o777 == 0o600
    again = run("zapwire", "key", "generate", "--out", str(file))
    assert (again.returncode, "never overwritten" in again.stderr) == (2, True)
    settings = Settings(sessions_dir=tmp_path, master_key_file=file)
    assert unlocking.unlock(settings).keys.sealing.text() in file.read_text()
