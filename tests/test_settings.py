"""Where settings come from, and what is said about bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from zapwire import settings
from zapwire.model.errors import SettingsError
from zapwire.settings import Address


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(f"ZAPWIRE_{name.upper()}", raising=False)
    monkeypatch.delenv("ZAPWIRE_CONFIG", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_the_defaults() -> None:
    chosen = settings.load({})
    assert chosen.listen == Address("127.0.0.1", 8080)
    assert chosen.database_file == Path("sessions/zapwire.db")


def test_options_win_over_the_environment_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zapwire.toml"
    file.write_text('listen = "127.0.0.1:1"\nlog_level = "ERROR"\nmax_body = 2000\nallowed_hosts = ["a.example"]\n')
    monkeypatch.setenv("ZAPWIRE_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("ZAPWIRE_LOG_LEVEL", "warning")
    chosen = settings.load({"listen": "127.0.0.1:3", "log_level": None}, file)
    assert (chosen.listen.port, chosen.log_level, chosen.max_body) == (3, "WARNING", 2000)
    assert chosen.allowed_hosts == ("a.example",)


def test_a_systemd_credential_holds_the_admin_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zapwire_admin_token").write_text("t" * 40)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    token = settings.load({}).admin_token
    assert token is not None
    assert token.get_secret_value() == "t" * 40


def test_the_users_own_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "zapwire").mkdir()
    (tmp_path / "zapwire" / "zapwire.toml").write_text("max_streams = 7\n")
    assert settings.load({}).max_streams == 7


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LISTEN", "8080", "host:port"),
        ("LISTEN", "127.0.0.1:99999", "host:port"),
        ("ADMIN_TOKEN", "too-short", "at least 32 characters"),
        ("MAX_BODY", "many", "must be a whole number"),
        ("STOP_TIMEOUT", "soon", "must be a number"),
        ("CORE_DUMPS", "perhaps", "must be true or false"),
        ("LOG_LEVEL", "loud", "INFO"),
        ("STOP_TIMEOUT", "0", "greater than 0"),
    ],
)
def test_a_bad_value_is_named_with_its_source(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"ZAPWIRE_{name}", value)
    with pytest.raises(SettingsError) as refused:
        settings.load({})
    assert refused.value.detail.startswith(f"{name.lower()} (environment variable ZAPWIRE_{name}): ")
    assert words in refused.value.detail
    assert "\n" not in refused.value.detail
    assert "too-short" not in refused.value.detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen = 8080", "must be host:port"),
        ('listne = "x"', "no setting"),
        ("listen = ", "not a TOML file"),
        ('max_body = "x"', "whole number"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        settings.load({}, file)
    assert str(file) in refused.value.detail
    assert words in refused.value.detail


@pytest.mark.parametrize("name", list(settings.Settings.model_fields))
@pytest.mark.parametrize("quoted", ['"{}"', "'{}'", "\u201c{}\u201d", ' "{}" ', '"{}', "{}'"])
def test_quotes_are_no_part_of_any_value(monkeypatch: pytest.MonkeyPatch, name: str, quoted: str) -> None:
    monkeypatch.setenv(f"ZAPWIRE_{name.upper()}", quoted.format("data"))
    with pytest.raises(SettingsError, match=f"^ZAPWIRE_{name.upper()} begins or ends with a quotation mark") as refused:
        settings.load({})
    assert refused.value.field == name


def test_blanks_around_a_value_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZAPWIRE_SESSIONS_DIR", " /data \r\n")
    monkeypatch.setenv("ZAPWIRE_MASTER_KEY", "  ")
    monkeypatch.setenv("ZAPWIRE_LOG_LEVEL", "debug ")
    chosen = settings.load({})
    assert (chosen.sessions_dir, chosen.master_key, chosen.log_level) == (Path("/data"), None, "DEBUG")
    monkeypatch.setenv("ZAPWIRE_CONFIG", f'"{tmp_path}/zapwire.toml"')
    with pytest.raises(SettingsError, match=r"^ZAPWIRE_CONFIG begins"):
        settings.load({})


@pytest.mark.parametrize("name", list(settings.Settings.model_fields))
@pytest.mark.parametrize("value", ["8080", "true", "1.5", "2026-01-01", "[1]", "{a = 1}", "04:00:00"])
def test_a_value_of_another_type_is_refused_in_words_for_people(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "zapwire.toml"
    file.write_text(f"{name} = {value}\n")
    refused = ""
    try:
        settings.load({}, file)
    except SettingsError as error:
        refused = error.detail
    assert refused == "" or refused.startswith(f"{name} ({file}): ")
    for word in ("instance of", "tuple", "dictionary"):
        assert word not in refused


def test_a_time_of_day_may_be_tomls(tmp_path: Path) -> None:
    (tmp_path / "zapwire.toml").write_text("restart_at = 04:30:00\n")
    assert settings.load({}, tmp_path / "zapwire.toml").restart_at == "04:30"


def test_a_bad_option_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^listen \(option --listen\): "):
        settings.load({"listen": "x"})


def test_mistyped_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAPWIRE_LISTNE", "127.0.0.1:1")
    assert "ZAPWIRE_LISTNE" in settings.unknown_variables()


def test_every_setting_has_a_sentence() -> None:
    assert all(sentence.endswith(".") for _, _, sentence in settings.table())


@pytest.mark.parametrize("text", ["[::1]:80", "localhost:0"])
def test_addresses_are_written_as_they_were_read(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("old", sorted(settings.RENAMED))
def test_a_setting_under_its_former_name_is_refused_with_the_present_one(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "zapwire.toml").write_text(f'{old} = "04:30"\n')
    with pytest.raises(SettingsError, match=f"is called {settings.RENAMED[old]} since"):
        settings.load({}, tmp_path / "zapwire.toml")
    monkeypatch.setenv(f"ZAPWIRE_{old.upper()}", "04:30")
    with pytest.raises(SettingsError, match=f"ZAPWIRE_{old.upper()}.*is called {settings.RENAMED[old]} since"):
        settings.load({})
