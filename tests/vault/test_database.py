from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from tests.vault.conftest import Make, content, fill
from zapwire.vault import handlers, sealed_files, selftest, upgrade
from zapwire.vault.keys import Damaged, KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_files import FileLock, InUse
from zapwire.vault.sealed_pages import PAGE, FileKeys
from zapwire.vault.sqlite import EngineConnection, SqliteError
from zapwire.vault.vfs import VaultUnavailable, Vfs

OTHER = KeyRing(MasterKey.generate())


def names(database: SealedDatabase) -> set[str]:
    return {path.name for path in database.path.parent.iterdir()}


def test_what_is_written_is_there_again_and_only_for_the_owner_of_the_file(database: SealedDatabase, at: Make):
    assert [row[1] for row in content(at())] == [f"x{number}" for number in range(200)]
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600
    assert database.path.stat().st_size % PAGE == 0
    assert names(database) == {"x.db", "x.db.lock"}


def test_nothing_is_made_over_a_file_or_a_wal_that_is_there(database: SealedDatabase, at: Make):
    with pytest.raises(FileExistsError):
        at().create()
    with pytest.raises(FileExistsError):
        at().write(b"")
    sealed_files.wal_of(at("y.db").path).write_bytes(b"of a lost database")
    with pytest.raises(FileExistsError):
        at("y.db").create()


@pytest.mark.parametrize("shape", ["shared", "temporary", "attached", "leaving WAL mode"])
def test_what_would_not_be_sealed_is_refused(database: SealedDatabase, shape: str):
    sql = {
        "shared": f"VACUUM INTO '{database.path}.copy'",
        "temporary": "PRAGMA temp_store=1",
        "attached": f"ATTACH '{database.path}.other' AS other",
        "leaving WAL mode": "PRAGMA journal_mode=DELETE",
    }[shape]
    with database.connect() as connection:
        if shape == "temporary":
            connection.run(sql)
            connection.run("CREATE TEMP TABLE big (data BLOB)")
            connection.run("PRAGMA temp.cache_size=1")
            sql = "INSERT INTO big SELECT randomblob(100000) FROM rows"
        with pytest.raises(SqliteError):
            connection.run(sql)
        assert names(database) <= {"x.db", "x.db.lock", "x.db-wal"}
    assert len(content(database)) == 200


def test_a_connection_keeps_the_wal_small_and_temporary_things_in_memory(database: SealedDatabase):
    with database.connect() as connection:
        connection.run("SELECT 1 FROM rows")
        options = [connection.run(f"PRAGMA {name}") for name in ("wal_autocheckpoint", "temp_store")]
        assert options == [[(256,)], [(2,)]]
        connection.run("BEGIN")  # one transaction may outgrow it
        for number in range(1000, 3000):
            connection.run("INSERT INTO rows VALUES (?, '', randomblob(3000))", number)
        connection.run("COMMIT")
        wal = sealed_files.wal_of(database.path)
        assert wal.stat().st_size > 4 << 20
        for number in range(3000, 3600):
            connection.run("INSERT INTO rows VALUES (?, '', randomblob(3000))", number)
        assert wal.stat().st_size < 2 << 20


def test_a_plain_connection_of_the_same_library_is_left_alone(vfs: Vfs, tmp_path: Path):
    with EngineConnection(vfs.code, str(tmp_path / "plain.db"), "vfs=unix", create=True) as connection:
        connection.run("CREATE TABLE rows (number)")
        assert connection.run("PRAGMA wal_autocheckpoint") == [(1000,)]
        assert connection.run("PRAGMA temp_store") == [(0,)]


def test_another_process_is_kept_out_even_when_the_locks_of_sqlite_are_lost(database: SealedDatabase, at: Make):
    with database.connect():
        database.path.open("rb").close()  # drops all POSIX locks of this process
        program = (
            "import sys; from pathlib import Path; from tests.harness.keys import KEYS\n"
            "from zapwire.transport.whatsapp_web.engine.engine import library_path\n"
            "from zapwire.vault.sealed_database import SealedDatabase\nfrom zapwire.vault.vfs import Vfs\n"
            "SealedDatabase(Path(sys.argv[1]), Vfs.of(library_path()), KEYS).open()"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, database.path], check=False, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "InUse: x.db is in use by another process" in done.stderr
        with pytest.raises(InUse):
            at().query("SELECT 1")


def test_a_lock_that_its_owner_removes_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch):
    owner, other = FileLock(tmp_path / "x.db"), FileLock(tmp_path / "x.db")
    owner.take()
    flock = sealed_files.fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        if owner._descriptor is not None:
            owner.remove()  # after the other one has opened it
        flock(descriptor, operation)

    monkeypatch.setattr(sealed_files.fcntl, "flock", late)
    assert other.take()
    monkeypatch.undo()
    assert other.path.exists()
    with pytest.raises(InUse):
        FileLock(tmp_path / "x.db").take()


def test_looking_for_what_is_not_there_leaves_nothing(at: Make):
    with pytest.raises(Damaged, match="the file is missing"):
        at().image()
    assert names(at()) == set()


def test_a_database_that_was_kept_may_not_vanish(database: SealedDatabase, at: Make):
    assert database.exists()
    database.open()
    database.keep()
    database.close()
    database.path.unlink()
    with pytest.raises(Damaged, match="the file is missing"):
        at().exists()
    at().destroy()
    assert not at().exists()
    assert names(database) == set()


def test_destroying_makes_the_key_unreachable_first(database: SealedDatabase, monkeypatch):
    salt = database.path.read_bytes()[4:16]
    twin = database.path.with_name("twin")
    os.link(database.path, twin)  # what a disk may still hold
    database.open()
    database.destroy()
    assert names(database) == {"twin"}
    assert salt not in twin.read_bytes()
    database.destroy()


def test_a_connection_that_outlives_its_file_can_bring_nothing_back(database: SealedDatabase, at: Make):
    """The engine never closes its connections (E8): after a logout and a new pairing the old ones are still there."""
    old, idle = database.connect(), database.connect()
    old.run("PRAGMA cache_size=1")
    old.run("UPDATE rows SET text = 'old'")
    twin = database.path.with_name("twin")
    os.link(database.path, twin)
    options = database.options
    told: list[str] = []
    database._file.on_damage = told.append
    database.destroy()
    fill(new := at(), "new")
    new.open()
    with pytest.raises(SqliteError):
        old.run("SELECT sum(length(data)) FROM rows")
    assert told == [], "what was destroyed is not damaged"
    for connection in (old, idle):  # the second one would open the WAL only now, by its name
        with pytest.raises(SqliteError):
            connection.run("UPDATE rows SET text = 'back'")
    with pytest.raises(SqliteError):  # and its pool would open the path again
        EngineConnection(new._vfs.code, str(new.path), options)
    with new.connect() as held:
        held.run("UPDATE rows SET text = 'newer'")
        old.close()
        idle.close()
        assert sealed_files.wal_of(new.path).exists(), "the old connections took the WAL of the new file with them"
    assert {row[1] for row in content(new)} == {"newer"}
    assert twin.read_bytes()[:4] != b"SLD2"


def test_a_file_that_is_replaced_is_opened_anew(database: SealedDatabase, at: Make):
    folder = database.path.parent / "backup"
    folder.mkdir()
    fill(at("backup/x.db"), "other")
    old = database.connect()
    (folder / "x.db").replace(database.path)
    assert content(database)[0][1] == "other0"
    old.close()


def test_an_image_is_one_committed_state_also_while_in_use(database: SealedDatabase, at: Make):
    with database.connect() as connection:
        connection.run("UPDATE rows SET text = 'committed'")
        connection.run("BEGIN")
        connection.run("UPDATE rows SET text = 'not yet'")
        image = database.image()
        connection.run("ROLLBACK")
    copy = at("copy.db", OTHER)
    copy.write(image)
    assert {row[1] for row in content(copy)} == {"committed"}
    copy.close()
    with pytest.raises(Damaged):
        at("copy.db").open()


def test_rekeying_changes_salt_and_master_key_and_spares_what_is_sealed_right(database: SealedDatabase, at: Make):
    before, rows = database.path.read_bytes(), content(database)
    assert not database.rekey()
    database.close()
    both = at(ring=KeyRing(*OTHER, *KEYS))
    with both.connect(), pytest.raises(InUse):
        both.rekey()
    assert both.rekey()
    assert both.fingerprint == OTHER.sealing.fingerprint
    assert both.path.read_bytes()[4:16] != before[4:16]
    assert content(both) == rows
    assert not both.rekey()
    both.close()
    with pytest.raises(Damaged):
        at().open()
    assert content(at(ring=OTHER)) == rows


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_plain_database_is_sealed_with_its_wal_and_overwritten(vfs: Vfs, at: Make, tmp_path: Path, mode: str):
    _plain(vfs, at().path, mode)
    twins = []
    for suffix in ("", "-wal"):
        twins.append(twin := tmp_path / f"twin{suffix}")
        if (file := tmp_path / f"x.db{suffix}").exists():
            os.link(file, twin)
    assert list(upgrade.seal_all(vfs.code, tmp_path, KEYS.sealing)) == [("x.db", None)]
    assert content(at()) == [(number, f"plain{number}", b"secret" * 2000) for number in range(50)]
    for twin in twins:
        assert not twin.exists() or b"secret" not in twin.read_bytes()
    assert names(at()) <= {"x.db", "x.db.lock", "twin", "twin-wal"}
    assert list(upgrade.seal_all(vfs.code, tmp_path, KEYS.sealing)) == []


def _plain(vfs: Vfs, path: Path, mode: str) -> None:
    program = (
        "import os, sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute('PRAGMA journal_mode=' + sys.argv[2])\n"
        "c.execute('CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT, data BLOB)')\n"
        "c.executemany('INSERT INTO rows VALUES (?, ?, ?)', [(n, f'plain{n}', b'secret' * 2000) for n in range(50)])\n"
        "c.commit()\nos._exit(0)"  # as a killed daemon leaves it
    )
    subprocess.run([sys.executable, "-c", program, path, mode], check=True)


def test_a_plain_database_that_is_damaged_is_left_alone(vfs: Vfs, at: Make, tmp_path: Path):
    _plain(vfs, at().path, "DELETE")
    raw = bytearray(at().path.read_bytes())
    raw[PAGE : 2 * PAGE] = os.urandom(PAGE)
    at().path.write_bytes(raw)
    [(name, error)] = upgrade.seal_all(vfs.code, tmp_path, KEYS.sealing)
    assert (name, type(error)) == ("x.db", SqliteError)
    assert at().path.read_bytes() == raw


class Killed(BaseException):
    """What stands for kill -9 between two calls to the system."""


def test_a_file_gets_its_name_when_it_is_on_the_disk_and_then_the_name_goes_there(
    database: SealedDatabase, at: Make, monkeypatch
):
    """What a power cut may undo; the steps below say what kill -9 may leave."""
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(
        os, "fsync", lambda fd: (done.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink()}"), fsync(fd))
    )
    monkeypatch.setattr(Path, "rename", lambda old, new: (done.append(f"rename {old} {new}"), rename(old, new)))
    rekeyed, path = at(ring=KeyRing(*OTHER, *KEYS)), database.path
    rekeyed.rekey()
    assert done == [f"sync {path}.new", f"rename {path}.new {path}", f"sync {path.parent}"]
    done.clear()
    rekeyed.destroy()
    assert [step for step in done if ".lock" not in step] == [f"sync {path}", f"sync {path.parent}"]


@pytest.mark.parametrize("what", ["rekey", "upgrade", "create", "destroy"])
def test_killed_before_any_step_it_can_be_done_again(vfs: Vfs, at: Make, tmp_path: Path, what: str, monkeypatch):
    ring = KeyRing(*OTHER, *KEYS)
    for number in range(100):
        path = tmp_path / f"{number}.db"
        _prepare(what, vfs, at, path)
        steps = 0

        def step(original, number=number):
            def call(*arguments, **options):
                nonlocal steps
                steps += 1
                if steps > number:
                    raise Killed
                return original(*arguments, **options)

            return call

        database = at(path.name, ring)
        with monkeypatch.context() as patched:
            for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "unlink"), (os, "link"), (os, "ftruncate")):
                patched.setattr(owner, name, step(getattr(owner, name)))
            try:
                _do(what, vfs, database, tmp_path)
                killed = False
            except Killed:
                killed = True
        database._forget()
        database._lock.release()
        assert names(database) <= {path.name + end for end in ("", ".lock", ".new", ".plain", "-wal", "-shm")}
        _do_again(what, vfs, at(path.name, ring), tmp_path)
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        if not killed:
            assert number >= 4, "there are more steps than that"
            return
    raise AssertionError("it never came to its end")


def _prepare(what: str, vfs: Vfs, at: Make, path: Path) -> None:
    if what == "upgrade":
        with EngineConnection(vfs.code, str(path), "vfs=unix", create=True) as connection:
            connection.run("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT, data BLOB)")
            connection.run("INSERT INTO rows VALUES (1, 'x', 'secret')")
    elif what != "create":
        fill(made := at(path.name), "x")
        made.open()
        made.keep()
        made.close()


def _do(what: str, vfs: Vfs, database: SealedDatabase, folder: Path) -> None:
    if what == "upgrade":
        list(upgrade.seal_all(vfs.code, folder, OTHER.sealing))
    else:
        getattr(database, what)()


def _do_again(what: str, vfs: Vfs, database: SealedDatabase, folder: Path) -> None:
    if what == "create":
        if not database.exists():
            database.create()
        database.close()
    elif what == "destroy":
        with contextlib.suppress(Damaged):  # half destroyed is destroyed
            assert not database.exists() or len(content(database)) == 200
        database.destroy()
        assert names(database) == set()
    else:
        _do(what, vfs, database, folder)
        assert len(content(database)) == (1 if what == "upgrade" else 200)
        assert database.fingerprint == OTHER.sealing.fingerprint
        database.close()
        assert names(database) == {database.path.name, f"{database.path.name}.lock"}


def test_the_self_test_passes_here_and_leaves_nothing(vfs: Vfs, tmp_path: Path):
    selftest.check(vfs, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_does_not_seal_fails_the_self_test(vfs: Vfs, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(FileKeys, "seal_frame", lambda _self, _offset, page: bytes(page))
    with pytest.raises(VaultUnavailable, match=r"plaintext in \.db-wal"):
        selftest.check(vfs, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(
        sealed_files, "unlock", lambda path, _ring: sealed_files.UnlockedFile(_any_keys(path), KEYS.sealing, torn=False)
    )
    with pytest.raises(VaultUnavailable, match="the self-test of sealing failed"):
        selftest.check(vfs, tmp_path)


def _any_keys(path: Path) -> FileKeys:
    return FileKeys.derive(KEYS.sealing, path.read_bytes()[:16], path.name.removesuffix(".db"))


def test_a_library_without_sqlites_functions_is_named(tmp_path: Path):
    with pytest.raises(VaultUnavailable, match="cannot be loaded"):
        Vfs.of(tmp_path / "no.so")
    with pytest.raises(VaultUnavailable, match="does not export"):
        Vfs(handlers.ffi.dlopen(None))


def test_the_row_format_is_sqlites_own(database: SealedDatabase, tmp_path: Path):
    """An image is what any SQLite reads: the way out, should sealing ever have to go."""
    image = database.image()
    (tmp_path / "out.db").write_bytes(image[:18] + b"\1\1" + image[20:])
    out = sqlite3.connect(tmp_path / "out.db")
    assert out.execute("SELECT count(*) FROM rows").fetchone() == (200,)
    out.close()
