"""The options that say where the data is, and what commands other than `serve` need of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from zapwire import settings
from zapwire.model.errors import SettingsError
from zapwire.runtime import hardening
from zapwire.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def where(command: F) -> F:
    """The options `--config`, `--sessions-dir` and `--database`."""
    command = click.option("--database", type=FILE, help="The daemon's SQLite file.")(command)
    command = click.option("--sessions-dir", type=FOLDER, help="Folder of the bots' auth databases.")(command)
    return click.option("--config", type=FILE, help="TOML file with settings.")(command)


def load(options: dict[str, Any]) -> Settings:
    """The settings that the options of `where` lead to. Raises `SettingsError`."""
    chosen = settings.load({name: value for name, value in options.items() if name != "config"}, options.get("config"))
    if not chosen.core_dumps:
        hardening.refuse_core_dumps()
    return chosen


def existing(options: dict[str, Any]) -> Settings:
    """The same, where a daemon has run before: a database made here would be one that no daemon looks into."""
    chosen = load(options)
    if not chosen.database_file.exists():
        raise SettingsError(
            f"database: there is none at {chosen.database_file}; start the daemon once, or give the --sessions-dir "
            "(or --config, or ZAPWIRE_ variables) that it runs with",
            field="database",
        )
    return chosen
