"""`zapwire bot`: bots as files, through the API of the daemon that runs."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from zapwire.cli.where import FILE, existing, where
from zapwire.errors import SettingsError, ZapwireError
from zapwire.settings import PASSPHRASE_VARIABLE, Settings

_PASSPHRASE_FILE = click.option("--passphrase-file", type=FILE, help="File whose first line is the passphrase.")


@click.group()
def bot() -> None:
    """Take bots out of this installation, and bring them in; the daemon has to run."""


@bot.command("export")
@click.argument("bot")
@click.option("--move", is_flag=True, help="Stop the bot, and never start it here again.")
@click.option("--out", type=FILE, help="Write to this file (mode 0600) instead of stdout; it must not exist.")
@_PASSPHRASE_FILE
@where
def export(bot: str, *, move: bool, out: Path | None, passphrase_file: Path | None, **options: Any) -> None:
    """Write BOT's auth state and settings as one file, sealed under a passphrase."""
    chosen = existing(options)
    if out is None and sys.stdout.isatty():
        raise SettingsError("the bundle is no text: send it to a file with `> FILE` or --out FILE", field="out")
    if out is not None and out.exists():
        raise SettingsError(f"{out} exists; nothing is overwritten", field="out")
    passphrase = _passphrase(passphrase_file, twice=True)
    content = _ask(chosen, f"/v1/bots/{bot}/export", {"passphrase": passphrase, "move": move})
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


@bot.command("import")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--id", "name", metavar="ID", help="Another id than the bot had.")
@click.option("--no-start", is_flag=True, help="Leave it stopped.")
@_PASSPHRASE_FILE
@where
def bring(file: Path, name: str | None, *, no_start: bool, passphrase_file: Path | None, **options: Any) -> None:
    """Make a bot of FILE, which `zapwire bot export` wrote."""
    chosen = existing(options)
    body = {
        "bundle": base64.b64encode(file.read_bytes()).decode(),
        "passphrase": _passphrase(passphrase_file, twice=False),
        "start": not no_start,
        **({"id": name} if name else {}),
    }
    _ask(chosen, "/v1/bots/import", body)
    click.echo("imported" if no_start else "imported, connecting")


def _passphrase(file: Path | None, *, twice: bool) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if file is not None:
        try:
            return file.read_text().split("\n")[0]
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}", field="passphrase_file") from None
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise SettingsError(
            f"give a passphrase: --passphrase-file FILE, or {PASSPHRASE_VARIABLE} in the environment",
            field="passphrase",
        )
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True))


def _ask(chosen: Settings, path: str, body: dict[str, Any]) -> bytes:
    """POST to the daemon that runs on this folder, with a token made for just that. Raises `ZapwireError`."""
    import aiohttp  # noqa: PLC0415 - half a second that other commands need not wait

    from zapwire import folder_lock  # noqa: PLC0415
    from zapwire.core.tokens import Tokens  # noqa: PLC0415
    from zapwire.store.db import Database  # noqa: PLC0415

    holder = folder_lock.holder(chosen.sessions_dir)
    if holder is None or holder.url is None:
        raise SettingsError(f"no daemon runs on {chosen.sessions_dir}: start it first", field="sessions_dir")
    url = holder.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")

    async def ask() -> bytes:
        async with Database.open(chosen.database_file, None, shared=True) as database:
            tokens = Tokens(database)
            token, secret = await tokens.create("zapwire bot")
            try:
                headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
                content = io.BytesIO(json.dumps(body).encode())
                async with aiohttp.ClientSession(url, headers=headers) as http, http.post(path, data=content) as answer:
                    given = await answer.read()
                    if answer.status >= 300:
                        raise _problem(given)
                    return given
            except aiohttp.ClientError as error:
                raise ZapwireError(f"the daemon at {url} does not answer: {type(error).__name__}") from None
            finally:
                await tokens.revoke(token.id)

    return asyncio.run(ask())


def _problem(content: bytes) -> ZapwireError:
    try:
        problem = json.loads(content)
    except ValueError:
        return ZapwireError("the daemon gave an answer that is no JSON")
    return ZapwireError(problem.get("detail", "refused"), field=problem.get("field"))
