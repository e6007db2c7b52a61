"""For changes in which None is a value."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal


class Keep(Enum):
    """Stands for "as it is"."""

    KEEP = "keep"


KEEP: Final[Literal[Keep.KEEP]] = Keep.KEEP
