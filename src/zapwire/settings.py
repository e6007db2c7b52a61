"""What can be set, in one table.

Options win over `ZAPWIRE_*` variables, then come systemd credentials, the TOML file and the default. `Settings` is the
table: a description is the sentence that `zapwire settings` prints and docs/settings.md repeats.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from zapwire.model.content.interactive import Fallback
from zapwire.model.errors import InvalidInput, SettingsError
from zapwire.model.ignoring import check_ignore
from zapwire.model.jid import parse_country
from zapwire.model.pacing import MOST_PER_DAY, MOST_PER_MINUTE, PacingOptions
from zapwire.model.pairing import DEVICE_NAME_LONGEST, PLATFORMS, TIMEOUTS
from zapwire.runtime.validation_messages import sentence

logger = logging.getLogger(__name__)

PREFIX = "ZAPWIRE_"
CONFIG_VARIABLE = "ZAPWIRE_CONFIG"
"""Names the TOML file; not a setting itself, as it says where the settings are."""

PASSPHRASE_VARIABLE = "ZAPWIRE_PASSPHRASE"  # noqa: S105 - a name, not a secret
"""Of `zapwire bot export` and `import`, where nobody can type; not a setting either."""

SANDBOX_SESSIONS_DIR = Path("sessions/demo")
"""Default of `sessions_dir` under `serve --sandbox`: pairings with the sandbox are worthless elsewhere."""

BOTS = "bots"
"""Folder of the auth databases in the sessions folder: a bot may be called like any file that lies beside it."""

SPOOLS = "incoming"
"""Folder, there too, of what WhatsApp believes received and is not in the database yet."""

MEDIA = "media"
"""Folder, there too, of the files that messages carry, encrypted."""

MIN_TOKEN = 32

_QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"

# What the daemon tells itself over an exec (own_sandbox, transport/whatsapp_web/server_override).
_OUR_OWN = frozenset({"ZAPWIRE_SANDBOX_PID", "ZAPWIRE_WHATSAPP_SERVER_ENVIRONMENT"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; *port* 0 lets the system pick one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port` or `[ipv6]:port`; raises ValueError."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            message = "must be host:port, like 127.0.0.1:8080 (port 0 picks a free one)"
            raise ValueError(message)
        return cls(host, int(port))


SANDBOX_DESCRIPTOR = "sandbox.json"
"""Name of that file in the sessions folder."""


RENAMED: Final = {
    "recycle_at": "restart_at",
    "recycle_when_rss_mb": "restart_when_rss_mb",
    "recycle_when_descriptors": "restart_when_descriptors",
}
"""Settings that had another name before 0.2.0."""


class Settings(BaseSettings):
    """All settings, checked. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    listen: Annotated[Address, NoDecode] = Field(
        Address("127.0.0.1", 8080), description="Where the API and the page listen, host:port; port 0 picks a free one."
    )
    sessions_dir: Path = Field(
        Path("sessions"),
        description="Folder of the bots' auth databases; with the master key, whoever reads it can act as the bots.",
    )
    database: Path | None = Field(
        None, description="The daemon's own SQLite file (default: zapwire.db in the sessions folder)."
    )
    admin_token: SecretStr | None = Field(
        None, description="A token that always works, for automation; at least 32 characters."
    )
    master_key_file: Path | None = Field(
        None,
        description="File with the master key, readable by its owner only (default: master.key in the sessions folder, "
        "made at the first start).",
    )
    master_key_file_shared: bool = Field(
        default=False,
        description="Take a master_key_file that others can read, as the secrets of Docker and Kubernetes are; only "
        "where there is nobody else.",
    )
    master_key: SecretStr | None = Field(
        None, description="The master key itself, where no file can be had: 64 hex digits."
    )
    auth_state: Literal["sealed", "plain"] = Field(
        "sealed", description="How the bots' auth databases are stored: sealed under the master key, or plain."
    )
    whatsapp_server: Path | None = Field(
        None, description="JSON descriptor of another WhatsApp server (a sandbox) to use instead of WhatsApp's own."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Host names, separated by commas, under which the API may be reached besides its own address."
    )
    webhook_allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks inside yours that webhooks may go to, separated by commas, like 127.0.0.0/8,::1/128; "
        "by default only what the whole Internet can reach.",
    )
    proxy_allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks inside yours in which proxies of bots may be, separated by commas, like 127.0.0.0/8; "
        "by default only what the whole Internet can reach.",
    )
    max_body: int = Field(1 << 20, ge=1024, le=1 << 30, description="Largest request body taken, in bytes.")
    max_connections: int = Field(
        2000,
        ge=16,
        le=100_000,
        description="Most connections to the API and the page at one time; for the next one an idle one is closed.",
    )
    max_streams: int = Field(
        100,
        ge=1,
        le=10_000,
        validate_default=True,
        description="Most WebSockets and event streams on /v1/events at one time; the next is refused.",
    )
    max_bots: int = Field(10_000, ge=1, le=100_000, description="Most bots; the next is refused.")
    max_webhooks: int = Field(1000, ge=1, le=10_000, description="Most webhooks; the next is refused.")
    keep_events_days: int = Field(
        7, ge=1, le=3650, description="Days that events are kept for readers that come late, and for webhooks."
    )
    keep_messages_days: int = Field(
        90, ge=1, le=3650, description="Days that messages, idempotency keys and undeliverable webhook events are kept."
    )
    max_pairings: int = Field(
        200, ge=1, le=1000, description="Most bots showing a QR code at one time; the others wait their turn."
    )
    pairing: Literal["auto", "own", "engine"] = Field(
        "auto",
        description="Who pairs: auto (the engine, and our own client when WhatsApp asks for a passkey), own (always "
        "our own client) or engine (always the engine, without passkeys).",
    )
    whatsapp_version: str = Field(
        "engine",
        description="The version of WhatsApp Web that bots say they are: engine (its own), auto (the newest, which "
        "WhatsApp's web page names; asked once a day and when WhatsApp refuses ours) or one like 2.3000.1047769893.",
    )
    keep_media_days: float = Field(
        30,
        gt=0,
        description="Days for which files of messages are kept here after they were wanted last; WhatsApp keeps them "
        "for some weeks itself.",
    )
    media_quota_mb: int = Field(
        10_240,
        ge=1,
        description="Room for files of messages, in MB. What was not wanted for the longest time goes first; when "
        "nothing can go, files are refused (507 `no-space`).",
    )
    media_allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks inside yours from which files of messages may be fetched by their address, separated by "
        "commas, like 127.0.0.0/8; by default only what the whole Internet can reach.",
    )
    list_fallback: Fallback = Field(
        "text",
        description="What people see of lists and buttons, which WhatsApp shows reliably only for its official API: "
        "text (numbered lines) or poll (2 to 12 options; more are a text). Either way the answer comes as `choice`.",
    )
    see_time_locks: bool = Field(
        default=False,
        description="Read from the engine's log of stanzas when WhatsApp forbids an account to write to strangers, and "
        "until when; costs up to half as much processor again for each message.",
    )
    canary: str | None = Field(
        None,
        description="A bot whose connection is restarted before the daemon restarts itself, or once a day; when "
        "WhatsApp refuses it, all others keep theirs.",
    )
    pairing_timeout: float | None = Field(
        None,
        ge=TIMEOUTS[0],
        le=TIMEOUTS[1],
        description="Seconds after which a pairing ends, unless a bot has its own; without it, when WhatsApp's codes "
        "are used up (160 s).",
    )
    device_name: str | None = Field(
        None,
        min_length=1,
        max_length=DEVICE_NAME_LONGEST,
        description="What phones list under Linked devices, unless a bot has its own; without it: zapwire.",
    )
    device_platform: Literal[PLATFORMS] | None = Field(  # type: ignore[valid-type]  # a tuple of texts
        None, description="The kind of program that phones show beside the device's name, like chrome or desktop."
    )
    full_history: bool = Field(
        default=False, description="Ask phones for as much history as they have when a bot is paired."
    )
    probe_interval: float = Field(
        60, ge=1, le=3600, description="Seconds between two probes of a connection over which nothing comes in."
    )
    logout_kept_days: float = Field(
        7, gt=0, le=365, description="Days that a logout is retried while WhatsApp cannot be notified of it."
    )
    metrics_per_bot: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Most bots that get series of their own in /metrics; with more bots none does.",
    )
    stop_timeout: float = Field(
        20, gt=0, le=600, description="Seconds that a graceful stop may take before the daemon leaves anyway."
    )
    default_country: str | None = Field(
        None,
        description="Country, like BR, in which phone numbers without a country code are dialled, unless a bot has "
        "one of its own; without it they are refused.",
    )
    ignore: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Messages that are dropped before they are stored, unless a bot has rules of its own: groups, "
        "status, channels, broadcast, from_me, and JIDs with * for any characters, separated by commas.",
    )
    warm_up: bool = Field(
        default=True,
        description="A newly linked number writes to 50 new chats on its first day, and each day to twice as "
        "many, for a week; a bot may have its own rule.",
    )
    new_chats_per_day: int = Field(
        0,
        ge=0,
        le=MOST_PER_DAY,
        description="First messages to new chats that a bot sends in a day; 0: as many as wanted.",
    )
    messages_per_minute: int = Field(
        0,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Messages that a bot sends in a minute to chats that have not just written; 0: as many as wanted.",
    )
    quiet_hours: str | None = Field(
        None, description="Times of day, like 22:00-07:00, in which bots send only answers."
    )
    time_zone: str = Field(
        "UTC",
        description="Time zone, like Europe/Berlin, of the quiet hours and of the days in which chats are counted.",
    )
    restart_at: str | None = Field(
        None,
        description="Local time, HH:MM, at which the daemon restarts itself each day: a graceful stop and a new start.",
    )
    restart_when_rss_mb: int | None = Field(
        None, ge=64, description="Megabytes of memory in use beyond which the daemon restarts itself."
    )
    restart_when_descriptors: int | None = Field(
        None, ge=64, description="Open file descriptors beyond which the daemon restarts itself."
    )
    core_dumps: bool = Field(
        default=False,
        description="Let the system write core dumps of the daemon, which hold keys, tokens and messages; for "
        "debugging only.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log lines to write; DEBUG may show phone numbers."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines on stderr look: text or json.")

    @field_validator("listen", mode="before")
    @classmethod
    def _read_address(cls, value: object) -> object:
        return value if isinstance(value, Address) else Address.parse(value if isinstance(value, str) else "")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _read_list(cls, value: object) -> object:
        return tuple(part.lower() for part in _parts(value, "names"))

    @field_validator("webhook_allow_networks", "proxy_allow_networks", "media_allow_networks", mode="before")
    @classmethod
    def _read_networks(cls, value: object) -> object:
        try:
            return tuple(map(ip_network, _parts(value, "networks")))
        except ValueError as error:
            message = f"must be networks like 127.0.0.0/8,::1/128: {error}"
            raise ValueError(message) from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _read_level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("device_name")
    @classmethod
    def _device_name(cls, value: str | None) -> str | None:
        if value is not None and not (value.strip() and value.isprintable()):
            message = "must be printable characters"
            raise ValueError(message)
        return value

    @field_validator("default_country")
    @classmethod
    def _country(cls, value: str | None) -> str | None:
        try:
            return parse_country(value)
        except InvalidInput as error:
            raise ValueError(error.detail) from None

    @field_validator("ignore", mode="before")
    @classmethod
    def _ignore(cls, value: object) -> tuple[str, ...]:
        rules = value.split(",") if isinstance(value, str) else value
        if not isinstance(rules, list | tuple) or not all(isinstance(one, str) for one in rules):
            message = "must be a list"
            raise ValueError(message)
        try:
            return check_ignore(one.strip() for one in rules if one.strip())
        except InvalidInput as error:
            raise ValueError(error.detail) from None

    @field_validator("quiet_hours", "time_zone")
    @classmethod
    def _pacing(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            _ = (
                PacingOptions(quiet_hours=value)
                if info.field_name == "quiet_hours"
                else PacingOptions(time_zone=value or "")
            )
        except InvalidInput as error:
            raise ValueError(error.detail) from None
        return value

    @property
    def pacing(self) -> PacingOptions:
        """Of bots without options of their own."""
        return PacingOptions(
            self.warm_up, self.new_chats_per_day, self.messages_per_minute, self.quiet_hours, self.time_zone
        )

    @field_validator("whatsapp_version")
    @classmethod
    def _version(cls, value: str) -> str:
        revision = value.removeprefix("2.3000.")
        if value in {"engine", "auto"} or (value != revision and re.fullmatch(r"1[0-9]{9}", revision)):
            return value
        message = "must be engine, auto, or a version like 2.3000.1047769893"
        raise ValueError(message)

    @field_validator("restart_at", mode="before")
    @classmethod
    def _time_of_day(cls, value: object) -> str | None:
        text = f"{value:%H:%M}" if isinstance(value, time) else value  # TOML has a type for it
        if text is None or (isinstance(text, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text)):
            return text
        message = "must be a time of day, HH:MM, like 04:00"
        raise ValueError(message)

    @field_validator("max_streams")
    @classmethod
    def _fewer_than_connections(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("max_connections", value + 1):
            message = "must be less than max_connections: each stream is a connection"
            raise ValueError(message)
        return value

    @field_validator("admin_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_TOKEN:
            message = f"must have at least {MIN_TOKEN} characters"
            raise ValueError(message)
        return value

    @property
    def sandbox_descriptor_file(self) -> Path:
        """Where a sandbox of our own says how it is reached; there only when bots are no real ones."""
        return self.sessions_dir / SANDBOX_DESCRIPTOR

    @property
    def database_file(self) -> Path:
        """The daemon's own database."""
        return self.database or self.sessions_dir / "zapwire.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` gathered: it keeps track of where each value came from."""
        return (init_settings,)


def load(options: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Gather the settings from all sources, *options* (None means not given) first.

    Raises `SettingsError` with one line that names the setting and its source.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, found in _sources(options, config):
        for name, value in found.items():
            if name not in values:
                values[name], origins[name] = (
                    value,
                    origin.format(name=name, NAME=name.upper(), option=name.replace("_", "-")),
                )
    _refuse_renamed(origins)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = str(first["loc"][0])
        unknown = first["type"] == "extra_forbidden"
        problem = "no setting has this name" if unknown else sentence(first["type"], first["msg"])
        raise SettingsError(f"{name} ({origins.get(name, 'default')}): {problem}", field=name) from None


def _refuse_renamed(origins: Mapping[str, str]) -> None:
    """Raises `SettingsError` for a setting under the name that it had in an earlier version."""
    for old, new in RENAMED.items():
        variable = PREFIX + old.upper()
        if old in origins or os.environ.get(variable):
            where = origins.get(old, variable)
            raise SettingsError(f"{old} ({where}): is called {new} since 0.2.0", field=old)


def make_sessions_dir(folder: Path) -> None:
    """Create the sessions folder, for nobody but us, if it is not there; raises `SettingsError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"sessions_dir: {folder} cannot be created: {error.strerror}", field="sessions_dir"
        ) from None
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        # not refused: a folder that a container mounts is often everybody's, and who runs there may not change it
        doing = "write into" if mode & 0o022 else "look into"
        logger.warning("others can %s the sessions folder %s (mode %04o): chmod 700 %s", doing, folder, mode, folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(
            f"sessions_dir: {folder} cannot be written to by this user; give it to them, or name another folder",
            field="sessions_dir",
        )


def unknown_variables() -> list[str]:
    """Names of `ZAPWIRE_*` variables that set nothing: likely typing mistakes, worth a warning."""
    known = (
        {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE, PASSPHRASE_VARIABLE} | _OUR_OWN
    )
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def table() -> Iterator[tuple[str, str, str]]:
    """The settings as (name, default as text, sentence)."""
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        yield name, "" if default is None else str(default), field.description or ""


def _sources(options: Mapping[str, Any], config: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "option --{option}", {name: value for name, value in options.items() if value is not None}
    yield "environment variable ZAPWIRE_{NAME}", _variables()
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and Path(credentials).is_dir():
        yield "credential zapwire_{name}", SecretsSettingsSource(Settings, secrets_dir=credentials)()
    file = _config_file(config)
    if file is not None:
        yield f"{file}", _read_toml(file)


def _variables() -> dict[str, Any]:
    """The settings among the environment variables, without blanks around them. Raises `SettingsError`."""
    found = {}
    for name, value in EnvSettingsSource(Settings)().items():
        variable = f"{PREFIX}{name.upper()}"
        found[name] = without_quotes(variable, value) if isinstance(value, str) else value
    return {name: value for name, value in found.items() if value != ""}


def without_quotes(variable: str, value: str) -> str:
    """*value* of an environment variable without blanks around it; raises `SettingsError` when it stands in quotes.

    A shell and systemd take quotes away; `docker --env-file` and Kubernetes hand them on, as a part of the value.
    """
    value = value.strip()
    if value and (value[0] in _QUOTES or value[-1] in _QUOTES):
        raise SettingsError(
            f"{variable} begins or ends with a quotation mark, which is taken as a part of it: write the value without "
            "quotes",
            field=variable.removeprefix(PREFIX).lower(),
        )
    return value


def _parts(value: object, what: str) -> list[str]:
    """The parts of a list, or of a text with commas; raises ValueError."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        message = f"must be {what} separated by commas, or a list of them"
        raise ValueError(message)
    return [part.strip() for part in parts if part.strip()]


def _config_file(config: Path | None) -> Path | None:
    """The file that was named, which has to exist, or the user's own when there is one."""
    variable = without_quotes(CONFIG_VARIABLE, os.environ.get(CONFIG_VARIABLE, ""))
    named = config or (Path(variable) if variable else None)
    if named is not None:
        return named
    usual = platformdirs.user_config_path("zapwire") / "zapwire.toml"
    return usual if usual.is_file() else None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as content:
            return tomllib.load(content)
    except OSError as error:
        raise SettingsError(f"config ({file}): cannot be read: {error.strerror}", field="config") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"config ({file}): not a TOML file: {error}", field="config") from None
