"""`zapwire token`: API tokens, also beside a running daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

from zapwire.cli.where import existing, where
from zapwire.model.errors import Conflict, NotFound


@click.group()
def token() -> None:
    """Make, list and revoke API tokens; works while the daemon runs."""


@token.command("create")
@click.argument("name")
@where
def create(name: str, **options: Any) -> None:
    """Make a token called NAME and print it: it is shown only now."""
    _, secret = _with_tokens(options, lambda tokens: tokens.create(name), making=True)
    click.echo(secret)


@token.command("list")
@where
def show(**options: Any) -> None:
    """Print id, name, creation and last use of every token."""
    for one in _with_tokens(options, lambda tokens: tokens.list()):
        click.echo(_line(one, "\t"))


@token.command("revoke")
@click.argument("token")
@click.option("--all", "every", is_flag=True, help="Every token of that name.")
@where
def revoke(token: str, *, every: bool, **options: Any) -> None:
    """Revoke a TOKEN, given by its id or its name: it stops working within a second."""

    async def work(tokens: Any) -> list[Any]:
        known = await tokens.list()
        found = [one for one in known if one.id == token] or [one for one in known if one.name == token]
        if not found:
            raise NotFound(f"there is no token with the id or name {token}")
        if len(found) > 1 and not every:
            ids = "; ".join(map(_line, found))
            raise Conflict(f"{len(found)} tokens have the name {token}: give an id, or --all for all of them. {ids}")
        for one in found:
            await tokens.revoke(one.id)
        return found

    for one in _with_tokens(options, work):
        click.echo(f"revoked {one.id} ({one.name})")


def _line(token: Any, between: str = ", ") -> str:
    used = f"{token.last_used:%Y-%m-%d %H:%M}" if token.last_used else "never"
    return between.join([token.id, token.name, f"created {token.created_at:%Y-%m-%d %H:%M}", f"used {used}"])


def _with_tokens(options: dict[str, Any], work: Callable[[Any], Any], *, making: bool = False) -> Any:
    """Do *work*; for *making* a token the master key is needed, which looking at them and revoking can do without."""
    from zapwire.core.access.tokens import Tokens  # noqa: PLC0415
    from zapwire.maintenance import master_key  # noqa: PLC0415
    from zapwire.store.sqlite.database import Database  # noqa: PLC0415

    chosen = existing(options)
    keys = master_key.to_make_tokens(chosen) if making else None

    async def run() -> Any:
        async with Database.open(chosen.database_file, keys, shared=True) as database:
            return await work(Tokens(database))

    return asyncio.run(run())
