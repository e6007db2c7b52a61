"""A sealed file opens under the name it was made for, and under no other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from tests.vault.conftest import Make, content, fill
from zapwire.runtime import durable_files
from zapwire.vault import sealed_files
from zapwire.vault.keys import Damaged, Foreign, KeyRing, MasterKey, Missing
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_pages import PAGE, UNBOUND, FileKeys


def unbind(database: SealedDatabase) -> bytes:
    """Seal the closed *database* as zapwire before 0.2 did; returns the file."""
    image = database.image()
    database.close()
    keys = FileKeys.derive(KEYS.sealing, UNBOUND + os.urandom(12), "")
    pages = [keys.seal_page(at, image[at : at + PAGE]) for at in range(0, len(image), PAGE)]
    durable_files.publish(database.path, pages)
    return database.path.read_bytes()


@pytest.fixture
def pair(at: Make) -> tuple[Path, Path]:
    """The files of two databases, closed."""
    paths = []
    for name in ("alpha", "beta"):
        fill(made := at(f"{name}.db"), name)
        made.close()
        paths.append(made.path)
    return paths[0], paths[1]


def test_two_files_that_were_exchanged_open_neither_of_them_and_say_whose_they_are(pair: tuple[Path, Path], at: Make):
    alpha, beta = pair
    alpha.rename(other := alpha.with_name("other"))
    beta.rename(alpha)
    other.rename(beta)
    before = alpha.read_bytes(), beta.read_bytes()
    for name, owner in (("alpha", "beta"), ("beta", "alpha")):
        with pytest.raises(Foreign, match=f"it is the file of {owner}"):
            at(f"{name}.db").open()
    assert (alpha.read_bytes(), beta.read_bytes()) == before
    alpha.rename(other)
    beta.rename(alpha)
    other.rename(beta)
    assert content(at("alpha.db"))[0][1] == "alpha0"


def test_also_with_the_wal_of_the_other(pair: tuple[Path, Path], at: Make):
    alpha, beta = pair
    database = at("beta.db")
    with database.connect() as connection:
        connection.run("UPDATE rows SET text = 'newer'")
        for file in (beta, sealed_files.wal_of(beta)):
            shutil.copyfile(file, file.with_name(file.name.replace("beta", "alpha")))
        raw = bytearray(alpha.read_bytes())
        raw[100] ^= 1  # a torn first page, which the WAL would mend
        alpha.write_bytes(raw)
    with pytest.raises(Foreign):
        at("alpha.db").open()


@pytest.mark.parametrize("kind", ["copy", "link", "hard link"])
def test_a_copy_or_a_link_is_not_taken_for_the_bots_own(pair: tuple[Path, Path], at: Make, kind: str):
    alpha, beta = pair
    alpha.unlink()
    match kind:
        case "copy":
            shutil.copyfile(beta, alpha)
        case "link":
            alpha.symlink_to(beta)
        case "hard link":
            os.link(beta, alpha)
    with pytest.raises(Foreign):
        at("alpha.db").open()
    assert content(at("beta.db"))[0][1] == "beta0"


def test_a_file_of_nobody_here_says_that_it_may_be_that_of_another_bot(pair: tuple[Path, Path], at: Make):
    alpha, _ = pair
    alpha.rename(alpha.with_name("gamma.db"))
    alpha.with_name("alpha.db.lock").unlink()
    with pytest.raises(Damaged, match="made for a bot of another name") as refused:
        at("gamma.db").open()
    assert not isinstance(refused.value, Foreign)


def test_what_is_missing_is_told_apart_from_what_is_damaged(pair: tuple[Path, Path], at: Make):
    alpha, beta = pair
    kept = at("alpha.db")
    kept.open()
    kept.keep()
    kept.close()
    alpha.unlink()
    with pytest.raises(Missing):
        at("alpha.db").exists()
    beta.write_bytes(b"")
    with pytest.raises(Damaged, match="empty") as refused:
        at("beta.db").open()
    assert not isinstance(refused.value, Missing)


def test_a_file_of_an_older_zapwire_opens_and_is_bound_when_it_is_sealed_anew(database: SealedDatabase, at: Make):
    before, old = content(database), unbind(database)
    assert old[:4] == b"SLD1"
    again = at()
    again.open()
    assert not again.bound
    assert content(again) == before
    assert again.rekey()
    assert again.bound
    assert content(again) == before
    assert not again.rekey()
    again.close()
    assert again.path.read_bytes()[:4] == b"SLD2"
    again.path.rename(again.path.with_name("y.db"))
    with pytest.raises(Foreign, match="it is the file of x"):
        at("y.db").open()


def test_a_file_in_use_is_not_sealed_anew_and_stays_as_it_is(database: SealedDatabase, at: Make):
    unbind(database)
    again = at()
    with again.connect() as connection:
        with pytest.raises(sealed_files.InUse):
            again.rekey()
        connection.run("UPDATE rows SET text = 'goes on'")
    assert content(again)[0][1] == "goes on"


def test_the_name_does_not_help_without_the_key(database: SealedDatabase, at: Make):
    database.close()
    with pytest.raises(Damaged) as refused:
        at(ring=KeyRing(MasterKey.generate())).open()
    assert not isinstance(refused.value, Foreign)
