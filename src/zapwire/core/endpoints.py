"""Webhook endpoints as people manage them; the deliveries are in `core/deliverer.py`."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from zapwire.errors import InvalidInput, NotFound
from zapwire.events import EventType
from zapwire.store import times, webhooks
from zapwire.store.db import Database, Transaction
from zapwire.store.webhooks import Endpoint

_URL_LONGEST = 2048


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""An argument that was not given, where None has a meaning of its own."""


class Endpoints:
    """The webhook endpoints; *changed* is told the id of each that was made, changed or deleted."""

    def __init__(self, database: Database, changed: Callable[[str], None]) -> None:
        self._database = database
        self._changed = changed

    async def create(
        self, url: str, *, events: Sequence[str] = ("*",), bots: Sequence[str] | None = None
    ) -> tuple[Endpoint, str]:
        """Make an endpoint for what happens from now on; its secret (`whsec_...`) is shown only here.

        Raises `InvalidInput` (url, events, bots).
        """
        new = Endpoint(
            id=f"whk_{secrets.token_hex(12)}",
            url=_url(url),
            events=_events(events),
            bots=_bots(bots),
            enabled=True,
            created_at=times.now(),
        )
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        stored = await self._database.write(lambda transaction: webhooks.insert(transaction, new, secret))
        self._changed(stored.id)
        return stored, secret

    async def list(self) -> list[Endpoint]:
        """All endpoints, oldest first."""
        return await self._database.read(webhooks.all_endpoints)

    async def get(self, endpoint: str) -> Endpoint:
        """One endpoint. Raises `NotFound`."""
        found = await self._database.read(lambda sql: webhooks.get(sql, endpoint))
        if found is None:
            raise NotFound("no such webhook", field="webhook")
        return found

    async def update(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        bots: Sequence[str] | Unset | None = UNSET,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Change what is given; a disabled endpoint keeps its place. Raises `NotFound`, `InvalidInput`."""

        def changed(old: Endpoint) -> Endpoint:
            return replace(
                old,
                url=old.url if url is None else _url(url),
                events=old.events if events is None else _events(events),
                bots=old.bots if isinstance(bots, Unset) else _bots(bots),
                enabled=old.enabled if enabled is None else enabled,
            )

        def work(transaction: Transaction) -> Endpoint:
            old = webhooks.get(transaction.sql, endpoint)
            if old is None:
                raise NotFound("no such webhook", field="webhook")
            new = changed(old)
            webhooks.update(transaction, new)
            return new

        new = await self._database.write(work)
        self._changed(endpoint)
        return new

    async def delete(self, endpoint: str) -> None:
        """Forget an endpoint and all that waits for it. Raises `NotFound`."""
        if not await self._database.write(lambda transaction: webhooks.delete(transaction, endpoint)):
            raise NotFound("no such webhook", field="webhook")
        self._changed(endpoint)


def _url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(url) > _URL_LONGEST or not url.isprintable() or " " in url:
        raise InvalidInput("an address that begins with http:// or https://", field="url")
    return url


def _events(events: Sequence[str]) -> tuple[str, ...]:
    known = {kind.value for kind in EventType}
    patterns = {"*", *known, *(kind.split(".")[0] + ".*" for kind in known)}
    if not events or isinstance(events, str) or any(pattern not in patterns for pattern in events):
        raise InvalidInput(f"a list of some of {', '.join(sorted(patterns))}", field="events")
    return tuple(dict.fromkeys(events))


def _bots(bots: Sequence[str] | None) -> tuple[str, ...] | None:
    if bots is None:
        return None
    if not bots or isinstance(bots, str):
        raise InvalidInput("a list of bot ids, or null for all", field="bots")
    return tuple(dict.fromkeys(bots))
