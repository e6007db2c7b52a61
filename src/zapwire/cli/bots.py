"""`zapwire bot`: bots as files, through the API of the daemon that runs."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from zapwire.cli.where import FILE, existing, where
from zapwire.model.errors import SettingsError, ZapwireError
from zapwire.settings import PASSPHRASE_VARIABLE, Settings

LARGEST = 48 << 20
"""Bytes that the API takes as a bundle (`core.moving`, which is slow to import)."""
_PASSPHRASE_FILE = click.option("--passphrase-file", type=FILE, help="File whose first line is the passphrase.")


@click.group()
def bot() -> None:
    """Export bots to other installations, and import them; the daemon has to run."""


@bot.command("export")
@click.argument("bot")
@click.option("--move", is_flag=True, help="Stop the bot, and never start it here again.")
@click.option("--out", type=FILE, help="Write to this file (mode 0600) instead of stdout; it must not exist.")
@_PASSPHRASE_FILE
@where
def export(bot: str, *, move: bool, out: Path | None, passphrase_file: Path | None, **options: Any) -> None:
    """Write BOT's auth state and settings as one file, sealed under a passphrase."""
    chosen = existing(options)
    with _destination(out) as write:
        passphrase = _passphrase(passphrase_file, twice=True)
        bundle = _ask(chosen, f"/v1/bots/{quote(bot, safe='')}/export", {"passphrase": passphrase, "move": move})
        write(bundle)
    if out is not None:
        hint = "; it does not start here again: delete it once it runs elsewhere" if move else ""
        click.echo(f"exported {bot} to {out}, {len(bundle)} bytes{hint}")


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
        "bundle": base64.b64encode(_read(file)).decode(),
        "passphrase": _passphrase(passphrase_file, twice=False),
        "start": not no_start,
        **({"id": name} if name else {}),
    }
    given = _ask(chosen, "/v1/bots/import", body)
    made = json.loads(given)["id"]
    click.echo(f"imported {made}" if no_start else f"imported {made}, connecting")


@contextmanager
def _destination(out: Path | None) -> Iterator[Callable[[bytes], None]]:
    """Where a bundle goes; made before the daemon is asked, as a bot must not move into what cannot be written."""
    if out is None:
        if sys.stdout.isatty():
            raise SettingsError("the bundle is no text: send it to a file with `> FILE` or --out FILE", field="out")
        yield lambda content: _write(sys.stdout.fileno(), content)
        return
    try:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise SettingsError(f"{out} exists; nothing is overwritten", field="out") from None
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}", field="out") from None
    try:
        yield lambda content: _write(file, content)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def _write(file: int, content: bytes) -> None:
    """All of it, and onto the disk if it is a file: the bot may be deleted next."""
    try:
        while content:
            content = content[os.write(file, content) :]
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.fsync(file)
    except OSError as error:
        raise ZapwireError(
            f"the bundle could not be written: {error.strerror}; export it again, also after a move"
        ) from None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            found = content.read(LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}", field="file") from None
    if len(found) > LARGEST:
        raise SettingsError(f"{file} is no bundle: it has more than {LARGEST} bytes", field="file")
    return found


def _passphrase(file: Path | None, *, twice: bool) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if file is not None:
        try:
            return file.read_text("utf-8").partition("\n")[0]
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}", field="passphrase_file") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{file} is no text in UTF-8", field="passphrase_file") from None
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

    from zapwire.core.access.tokens import Tokens  # noqa: PLC0415
    from zapwire.maintenance import master_key  # noqa: PLC0415
    from zapwire.runtime import instance_lock  # noqa: PLC0415
    from zapwire.store.sqlite.database import Database  # noqa: PLC0415

    holder = instance_lock.holder(chosen.sessions_dir)
    if holder is None or holder.url is None:
        raise SettingsError(f"no daemon runs on {chosen.sessions_dir}: start it first", field="sessions_dir")
    keys = master_key.to_make_tokens(chosen)
    url = holder.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")

    async def ask() -> bytes:
        async with Database.open(chosen.database_file, keys, shared=True) as database:
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
            except (aiohttp.ClientError, TimeoutError) as error:
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
