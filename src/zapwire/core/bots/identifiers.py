"""Ids and names of bots, as users may choose them."""

from __future__ import annotations

import re
import secrets
from typing import Final

from zapwire.model.bots import BotId
from zapwire.model.errors import InvalidInput

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME_LONGEST: Final = 100


def check_id(bot: str | None) -> BotId:
    """*bot* as an id; a new one for None. Raises `InvalidInput` (id)."""
    if bot is None:
        return BotId(f"bot-{secrets.token_hex(4)}")
    if _ID.fullmatch(bot) is None:
        raise InvalidInput("1 to 63 of a-z, 0-9 and -, not beginning with -", field="id")
    return BotId(bot)


def check_name(name: str) -> str:
    """*name* without space around it. Raises `InvalidInput` (name)."""
    name = name.strip()
    if not name or len(name) > _NAME_LONGEST or not name.isprintable():
        raise InvalidInput(f"1 to {_NAME_LONGEST} printable characters", field="name")
    return name
