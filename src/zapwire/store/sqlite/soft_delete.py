"""What is deleted and not purged yet: conditions that hide it from whoever reads. All are quick when there is none."""

from __future__ import annotations

import sqlite3
from typing import Final

GONE_BOTS: Final = "(SELECT id FROM bots INDEXED BY bots_deleted WHERE deleted_upto IS NOT NULL)"
GONE_ENDPOINTS: Final = "(SELECT id FROM endpoints INDEXED BY endpoints_deleted WHERE deleted_at IS NOT NULL)"


def of_gone_bot(table: str) -> str:
    """Is a row of *table* (`journal` or `deliveries`) about a deleted bot, and from before that?"""
    return (
        "EXISTS (SELECT 1 FROM bots INDEXED BY bots_deleted WHERE deleted_upto IS NOT NULL "  # noqa: S608 - constants
        f"AND bots.id = {table}.bot AND deleted_upto >= {table}.seq)"
    )


def is_doomed(sql: sqlite3.Connection, bot: str) -> bool:
    """Is a bot of that id marked and not purged yet?"""
    query = "SELECT 1 FROM bots WHERE id = ? AND deleted_upto IS NOT NULL"
    return sql.execute(query, (bot,)).fetchone() is not None
