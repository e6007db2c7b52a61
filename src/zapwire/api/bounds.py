"""How many bots and webhooks there may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from zapwire.errors import Conflict


class Bound:
    """At most *most* of something, which the setting of that *name* says."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._making = 0

    @contextmanager
    def one_more(self, there: int) -> Iterator[None]:
        """One more is being made while so many are *there*. Raises `Conflict` when that would be too many."""
        if there + self._making >= self._most:
            raise Conflict(f"the setting {self._name} is reached, {self._most}: delete one, or raise it")
        self._making += 1
        try:
            yield
        finally:
            self._making -= 1


BOTS_BOUND = web.AppKey("bots bound", Bound)
WEBHOOKS_BOUND = web.AppKey("webhooks bound", Bound)
