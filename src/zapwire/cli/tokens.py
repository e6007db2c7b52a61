"""`zapwire token`: API tokens, also beside a running daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

from zapwire.cli.where import existing, where


@click.group()
def token() -> None:
    """Make, list and revoke API tokens; works while the daemon runs."""


@token.command("create")
@click.argument("name")
@where
def create(name: str, **options: Any) -> None:
    """Make a token called NAME and print it: it is shown only now."""
    _, secret = _with_tokens(options, lambda tokens: tokens.create(name))
    click.echo(secret)


@token.command("list")
@where
def show(**options: Any) -> None:
    """Print id, name, creation and last use of every token."""
    for one in _with_tokens(options, lambda tokens: tokens.list()):
        used = f"{one.last_used:%Y-%m-%d %H:%M}" if one.last_used else "never"
        click.echo(f"{one.id}\t{one.name}\tcreated {one.created_at:%Y-%m-%d %H:%M}\tused {used}")


@token.command("revoke")
@click.argument("token")
@where
def revoke(token: str, **options: Any) -> None:
    """Revoke a TOKEN, given by its id or its name: it stops working at once."""
    _with_tokens(options, lambda tokens: tokens.revoke(token))


def _with_tokens(options: dict[str, Any], work: Callable[[Any], Any]) -> Any:
    from zapwire.core.tokens import Tokens  # noqa: PLC0415
    from zapwire.store.db import Database  # noqa: PLC0415

    chosen = existing(options)

    async def run() -> Any:
        async with Database.open(chosen.database_file, None, shared=True) as database:
            return await work(Tokens(database))

    return asyncio.run(run())
