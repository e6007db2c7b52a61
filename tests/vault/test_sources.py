"""Where the master key comes from, in which order, and when it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from zapwire.maintenance.master_key import unlock
from zapwire.model.errors import SettingsError
from zapwire.settings import Settings
from zapwire.store.sqlite.database import Database
from zapwire.vault import sources
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.vault.sources import KeyOrigin, KeyUnavailable

KEYS = [MasterKey(bytes([n]) * 32) for n in range(4)]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_the_order_of_the_sources(tmp_path: Path):
    folder, credentials = tmp_path / "sessions", tmp_path / "credentials"
    folder.mkdir()
    credentials.mkdir()
    named = tmp_path / "named.key"
    for file, key in ((folder / "master.key", KEYS[0]), (named, KEYS[2]), (credentials / "master.key", KEYS[3])):
        sources.write(file, KeyRing(key))
    with_credentials = {"CREDENTIALS_DIRECTORY": str(credentials)}
    variable = KEYS[1].text()

    def found(environment: dict[str, str], file: Path | None, text: str | None) -> tuple[MasterKey, KeyOrigin]:
        source = sources.find(folder, file=file, variable=text, environment=environment)
        assert source is not None
        return source.keys.sealing, source.origin

    assert found({}, None, None) == (KEYS[0], KeyOrigin.BESIDE)
    assert found({}, None, variable) == (KEYS[1], KeyOrigin.VARIABLE)
    assert found({}, named, variable) == (KEYS[2], KeyOrigin.FILE)
    assert found(with_credentials, named, variable) == (KEYS[3], KeyOrigin.CREDENTIAL)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path):
    file = tmp_path / "master.key"
    sources.write(file, KeyRing(KEYS[0]))
    assert file.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(KeyUnavailable, match=f"mode {mode:04o}.*chmod 600"):
            sources.find(tmp_path)
        with pytest.raises(KeyUnavailable, match="chmod 600"):
            sources.find(tmp_path / "elsewhere", file=file)


@pytest.mark.parametrize("mode", [0o444, 0o440, 0o644])
def test_a_secret_of_a_container_is_taken_where_that_was_said(tmp_path: Path, mode: int):
    file = tmp_path / "secret"
    sources.write(file, KeyRing(KEYS[0]))
    file.chmod(mode)
    with pytest.raises(KeyUnavailable, match="ZAPWIRE_MASTER_KEY_FILE_SHARED"):
        sources.find(tmp_path, file=file)
    found = sources.find(tmp_path, file=file, shared=True)
    assert found is not None
    assert found.keys.sealing == KEYS[0]
    file.rename(tmp_path / "master.key")
    with pytest.raises(KeyUnavailable, match="can be read by others"):
        sources.find(tmp_path, shared=True)  # the one beside the data is never a container's


def test_a_key_that_others_can_change_is_refused_whatever_was_said(tmp_path: Path):
    sources.write(tmp_path / "secret", KeyRing(KEYS[0]))
    (tmp_path / "secret").chmod(0o620)
    with pytest.raises(KeyUnavailable, match="can be changed by others"):
        sources.find(tmp_path, file=tmp_path / "secret", shared=True)


def test_a_source_that_cannot_be_used_is_not_passed_over(tmp_path: Path):
    sources.write(tmp_path / "master.key", KeyRing(KEYS[0]))
    with pytest.raises(KeyUnavailable, match="No such file"):
        sources.find(tmp_path, file=tmp_path / "missing.key")
    with pytest.raises(KeyUnavailable, match="ZAPWIRE_MASTER_KEY: not a master key"):
        sources.find(tmp_path, variable="hunter2")


def test_the_first_start_makes_a_key_and_says_what_it_is_worth(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    settings = Settings(sessions_dir=tmp_path)
    made = unlock(settings)
    assert made.origin is KeyOrigin.BESIDE
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    assert unlock(settings).keys.sealing == made.keys.sealing
    assert "protects copies of the data alone" in caplog.text
    assert made.keys.sealing.text() not in caplog.text


async def test_a_lost_key_is_never_replaced_by_a_new_one(tmp_path: Path):
    settings = Settings(sessions_dir=tmp_path)
    keys = unlock(settings).keys
    async with Database.open(settings.database_file, keys):
        pass
    (tmp_path / "master.key").unlink()
    with pytest.raises(SettingsError, match=f"sealed with the key {keys.sealing.fingerprint}: put the key back"):
        unlock(settings)
    assert not (tmp_path / "master.key").exists()
