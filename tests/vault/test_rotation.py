"""The master key is changed, whatever happens meanwhile; the commands around it."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from zapwire.maintenance import master_key
from zapwire.model.bots import BotId
from zapwire.runtime.run_marker import RunMarker
from zapwire.settings import Settings
from zapwire.store.sqlite import encryption
from zapwire.transport.whatsapp_web.inbound.spool import Spool
from zapwire.vault import sealed_files, sources
from zapwire.vault.keys import Damaged, KeyRing, MasterKey
from zapwire.vault.sealed_files import FileLock

STEPS = 6
"""The new key, three auth files, the database, the old key."""


def run(
    *arguments: str, key: str | None = None, largest: int | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """*largest*: bytes beyond which no file grows, as on a full disk."""
    environment = {**os.environ, **({"ZAPWIRE_MASTER_KEY": key} if key else {}), **env}
    limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))) if largest is not None else None
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        preexec_fn=limit,
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
    assert encryption.fingerprint(folder / "zapwire.db") == new.fingerprint
    for bot in ("a", "b", "c"):
        with pytest.raises(Damaged):
            sealed_files.unlock(folder / "bots" / f"{bot}.db", KeyRing(old))


def test_a_file_that_does_not_open_keeps_the_old_key(folder: Path):
    [old] = keys(folder)
    damaged = folder / "bots" / "b.db"
    content = b"\0" * 4096 + damaged.read_bytes()[4096:]
    damaged.write_bytes(content)
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    assert done.returncode == 1
    assert "the old key is kept, as these files do not open: b.db" in done.stderr
    assert old in list(keys(folder))
    assert len(keys(folder)) == 2
    assert damaged.read_bytes() == content
    damaged.unlink()
    assert run("zapwire", "key", "rotate", "--sessions-dir", str(folder)).returncode == 0
    assert len(keys(folder)) == 1


def test_without_the_database_or_with_another_key_nothing_is_begun(folder: Path):
    key, database = (folder / "master.key").read_bytes(), folder / "zapwire.db"
    where = ("--sessions-dir", str(folder))
    database.rename(folder.parent / "elsewhere.db")  # as ZAPWIRE_DATABASE, which nobody has given here
    for command in ("rotate", "verify"):
        done = run("zapwire", "key", command, *where)
        assert (done.returncode, f"database: there is none at {database}" in done.stderr) == (2, True)
    assert run("zapwire", "key", "rotate", *where, ZAPWIRE_DATABASE=str(folder.parent / "elsewhere.db")).returncode == 0
    (folder.parent / "elsewhere.db").rename(database)
    rotating(folder, "check")
    (folder / "master.key").write_bytes(key)  # the old one by now
    done = run("zapwire", "key", "rotate", *where)
    assert (done.returncode, "is sealed with the master key" in done.stderr) == (2, True)
    assert (folder / "master.key").read_bytes() == key


@pytest.mark.parametrize("largest", [6_000, 20_000])
def test_a_full_disk_ends_it_in_words_and_the_next_call_ends_the_work(folder: Path, largest: int):
    where = ("--sessions-dir", str(folder))
    done = run("zapwire", "key", "rotate", *where, largest=largest)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "cannot be sealed again now" in done.stderr
    assert not list(folder.rglob("*.new"))
    rotating(folder, "check")
    assert run("zapwire", "key", "rotate", *where).returncode == 0
    rotating(folder, "check")
    assert len(keys(folder)) == 1


def test_a_spool_that_does_not_open_keeps_the_old_key(folder: Path):
    spool = Spool(folder / "incoming", BotId("a"), keys(folder))
    for number in range(3):
        spool.add(7, b"record %d" % number)
    spool.close()
    [path] = spool.left()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = run("zapwire", "key", "verify", "--sessions-dir", str(folder))
    assert (done.returncode, "a.1.spool: 4" in done.stdout) == (1, True)
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    assert (done.returncode, "do not open: incoming/a.1.spool" in done.stderr) == (1, True)
    assert (path.read_bytes(), len(keys(folder))) == (content, 2)


def test_a_link_to_the_key_stays_one(folder: Path):
    safe = folder.parent / "safe"
    safe.mkdir()
    (folder / "master.key").rename(safe / "its.key")
    (folder / "master.key").symlink_to(safe / "its.key")
    assert rotating(folder, "rotate") == 0
    assert (folder / "master.key").is_symlink()
    assert [file.name for file in safe.iterdir()] == ["its.key"]
    rotating(folder, "check")


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


def test_verify_misses_what_has_to_be_there_and_takes_plain_for_plain(folder: Path):
    where = ("--sessions-dir", str(folder))
    lock = FileLock(folder / "bots" / "b.db")
    lock.take()
    lock.expect(there=True)
    lock.release()
    (folder / "bots" / "b.db").unlink()
    done = run("zapwire", "key", "verify", *where)
    assert (done.returncode, done.stdout) == (1, "b.db: the file is missing\n")
    assert "1 damaged: b.db, the file is missing" in run("zapwire", "key", "status", *where).stdout
    lock.path.unlink()
    with closing(sqlite3.connect(folder / "bots" / "b.db")) as sql:
        sql.execute("CREATE TABLE t (x)")
    done = run("zapwire", "key", "verify", *where)
    assert (done.returncode, done.stdout) == (1, "b.db: the file is not sealed\n")
    done = run("zapwire", "key", "verify", *where, ZAPWIRE_AUTH_STATE="plain")
    assert (done.returncode, done.stdout) == (0, "all of it opens: the database and 2 auth files\n")


def test_generate(tmp_path: Path):
    printed = run("zapwire", "key", "generate").stdout
    assert len(KeyRing.parse(printed.encode())) == 1
    file = tmp_path / "new.key"
    assert run("zapwire", "key", "generate", "--out", str(file)).stdout == ""
    assert file.stat().st_mode & 0o777 == 0o600
    again = run("zapwire", "key", "generate", "--out", str(file))
    assert (again.returncode, "never overwritten" in again.stderr) == (2, True)
    settings = Settings(sessions_dir=tmp_path, master_key_file=file)
    assert master_key.unlock(settings).keys.sealing.text() in file.read_text()


def test_status_and_doctor_change_nothing(folder: Path):
    def listed() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}

    where, before = ("--sessions-dir", str(folder)), listed()
    assert "database     " in run("zapwire", "key", "status", *where).stdout
    # Without a way to WhatsApp, which is a fault of its own.
    assert "zapwire.db is whole" in run("zapwire", "doctor", *where, HTTPS_PROXY="http://127.0.0.1:9").stdout
    assert listed() == before
    (folder / "zapwire.db").unlink()
    (folder / "master.key").unlink()
    done = run("zapwire", "doctor", *where, HTTPS_PROXY="http://127.0.0.1:9")
    assert "fault    the master key is missing, without which nothing opens: " in done.stdout


def test_doctor_says_what_to_do_about_auth_files_whose_database_is_lost(folder: Path):
    (folder / "zapwire.db").unlink()
    said = run("zapwire", "doctor", "--sessions-dir", str(folder), HTTPS_PROXY="http://127.0.0.1:9").stdout
    assert 'auth files: put it back, or start and create their bots again under their old ids with "auth_state"' in said


def test_another_database_under_the_same_key_is_not_locked_for_ever(folder: Path):
    shutil.copy(folder / "zapwire.db", folder / "other.db")
    for name in ("zapwire.db", "other.db"):
        RunMarker.begin(folder, folder / name).end("stopped")
    before = (folder / "master.key").read_text()
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    assert (done.returncode, f"{folder / 'other.db'} too" in done.stderr) == (2, True)
    assert (folder / "master.key").read_text() == before
    (folder / "other.db").unlink()
    assert run("zapwire", "key", "rotate", "--sessions-dir", str(folder)).returncode == 0


def test_what_an_unreadable_marker_hides_is_not_locked_for_ever(folder: Path):
    before = (folder / "master.key").read_text()
    (folder / "run.json").write_text("{")
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    assert done.returncode == 2
    assert "delete it and run this again" in done.stderr
    assert (folder / "master.key").read_text() == before
    (folder / "run.json").unlink()
    assert run("zapwire", "key", "rotate", "--sessions-dir", str(folder)).returncode == 0


def test_a_copy_of_a_folder_is_rotated_beside_its_original(folder: Path, tmp_path: Path):
    RunMarker.begin(folder, folder / "zapwire.db").end("stopped")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert run("zapwire", "key", "rotate", "--sessions-dir", str(copy)).returncode == 0
    assert run("zapwire", "key", "verify", "--sessions-dir", str(folder)).returncode == 0
    assert run("zapwire", "key", "verify", "--sessions-dir", str(copy)).returncode == 0


def test_a_copy_that_shares_the_key_file_of_its_original_does_not_lock_that_for_ever(folder: Path, tmp_path: Path):
    RunMarker.begin(folder, folder / "zapwire.db").end("stopped")
    shared = (folder / "master.key").rename(tmp_path / "shared.key")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(copy), ZAPWIRE_MASTER_KEY_FILE=str(shared))
    assert (done.returncode, f"{folder / 'zapwire.db'} too" in done.stderr) == (2, True)


def owners(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path.relative_to(folder)): (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        for path in [folder, *folder.rglob("*")]
        for status in [path.stat()]
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_rotated_by_root_everything_stays_its_owners(folder: Path):
    RunMarker.begin(folder, folder / "zapwire.db").end("stopped")
    spool = Spool(folder / "incoming", BotId("a"), keys(folder))
    spool.add(7, b"what came in")
    spool.close()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 12345, 23456)
    (folder / "master.key").chmod(0o400)
    (folder / "zapwire.db").chmod(0o600)
    (folder / "bots" / "a.db.lock").unlink(missing_ok=True)
    before = owners(folder)
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(folder))
    assert done.returncode == 0, done.stderr
    after = owners(folder)
    assert {name: after[name] for name in before} == before
    assert {owner[:2] for owner in after.values()} == {(12345, 23456)}
    assert len(keys(folder)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_before_the_first_start_leaves_nothing_that_stands_in_its_way(tmp_path: Path):
    os.chown(tmp_path, 12345, 23456)
    done = run("zapwire", "key", "rotate", "--sessions-dir", str(tmp_path))
    assert (done.returncode, "start the daemon once" in done.stderr) == (2, True)
    assert {owner[:2] for owner in owners(tmp_path).values()} == {(12345, 23456)}
