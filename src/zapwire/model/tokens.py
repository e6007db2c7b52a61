"""API tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, without its secret."""

    id: str
    name: str
    created_at: datetime
    last_used: datetime | None = None
