"""Webhook endpoints as people manage them; the deliveries are in `core/webhooks/dispatcher.py`."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Final, TypeVar

from zapwire.core.webhooks import signing
from zapwire.core.webhooks import validation as checked
from zapwire.core.webhooks.endpoint_writes import make_due
from zapwire.core.webhooks.renderers import DEFAULT
from zapwire.model import timestamps
from zapwire.model.errors import Conflict, InvalidInput, NotFound
from zapwire.model.webhooks import Endpoint, RetiredSecret
from zapwire.store.ports import Store, UnitOfWork

T = TypeVar("T")

GRACE = 24 * 3600.0
GRACE_MOST = 7 * 24 * 3600.0
_RETIRED_MOST = 4
"""Replaced secrets that still sign; with more the oldest go."""
_BY_HAND = "switched off by hand"


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""An argument that was not given, where None has a meaning of its own."""


class Endpoints:
    """The webhook endpoints; *changed* is called with the id of each that was made, changed or deleted.

    *allow* raises `InvalidInput` for a host that webhooks may not go to.
    """

    def __init__(
        self, database: Store, changed: Callable[[str], None], allow: Callable[[str], Awaitable[object]]
    ) -> None:
        self._database = database
        self._changed = changed
        self._allow = allow

    async def create(
        self,
        url: str,
        *,
        events: Sequence[str] = ("*",),
        bots: Sequence[str] | None = None,
        description: str = "",
        headers: Mapping[str, str] | None = None,
        concurrency: int = 16,
        ed25519: bool = False,
        reply: bool = False,
        timeout: float = 15.0,
        client_error_attempts: int = 3,
        enabled: bool = True,
        format: str = DEFAULT,  # noqa: A002 - the field's name everywhere
        secret: str | None = None,
    ) -> tuple[Endpoint, str]:
        """Make an endpoint for what happens from now on; its secret (`whsec_...`) is shown only here.

        Raises `InvalidInput` with the field.
        """
        new = Endpoint(
            id=f"whk_{secrets.token_hex(12)}",
            url=checked.url(url),
            events=checked.events(events),
            bots=checked.bots(bots),
            enabled=enabled,
            created_at=timestamps.now(),
            description=checked.description(description),
            headers=checked.headers(headers or {}),
            concurrency=checked.concurrency(concurrency),
            reply=reply,
            timeout=checked.timeout(timeout),
            client_error_attempts=checked.client_error_attempts(client_error_attempts),
            format=checked.form(format),
            disabled_reason=None if enabled else _BY_HAND,
        )
        keys = signing.new_keys(secret, ed25519=ed25519)
        await self._allow(checked.host(url))
        stored = await self._database.write(lambda transaction: transaction.endpoints.insert(new, keys))
        self._changed(stored.id)
        return stored, keys.secret

    async def count(self) -> int:
        """How many endpoints there are."""
        return len(await self.list())

    async def list(self) -> list[Endpoint]:
        """All endpoints, oldest first."""
        return await self._database.read(lambda unit: unit.endpoints.all_endpoints())

    async def get(self, endpoint: str) -> Endpoint:
        """One endpoint. Raises `NotFound`."""
        return _found(await self._database.read(lambda view: view.endpoints.get(endpoint)))

    async def update(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        bots: Sequence[str] | Unset | None = UNSET,
        description: str | None = None,
        headers: Mapping[str, str] | None = None,
        concurrency: int | None = None,
        ed25519: bool | None = None,
        reply: bool | None = None,
        timeout: float | None = None,
        client_error_attempts: int | None = None,
        enabled: bool | None = None,
        format: str | None = None,  # noqa: A002 - the field's name everywhere
    ) -> Endpoint:
        """Change what is given. Enabling goes on where it was, as far as the journal still has it.

        Raises `NotFound`, and `InvalidInput` with the field.
        """

        def change(old: Endpoint) -> Endpoint:
            new = replace(
                old,
                url=old.url if url is None else checked.url(url),
                events=old.events if events is None else checked.events(events),
                bots=old.bots if isinstance(bots, Unset) else checked.bots(bots),
                description=old.description if description is None else checked.description(description),
                headers=old.headers if headers is None else checked.headers(headers),
                concurrency=old.concurrency if concurrency is None else checked.concurrency(concurrency),
                reply=old.reply if reply is None else reply,
                timeout=old.timeout if timeout is None else checked.timeout(timeout),
                client_error_attempts=old.client_error_attempts
                if client_error_attempts is None
                else checked.client_error_attempts(client_error_attempts),
                enabled=old.enabled if enabled is None else enabled,
                format=old.format if format is None else checked.form(format),
            )
            if new.enabled and not old.enabled:
                return _afresh(new)
            return replace(new, disabled_reason=_BY_HAND) if old.enabled and not new.enabled else new

        if url is not None:
            await self._allow(checked.host(checked.url(url)))
        return await self._change(endpoint, change, ed25519=ed25519)

    async def pause(self, endpoint: str) -> Endpoint:
        """Hold deliveries back; nothing is lost, and the time does not count as failing. Raises `NotFound`."""
        return await self._change(endpoint, lambda old: replace(old, paused=True))

    async def resume(self, endpoint: str) -> Endpoint:
        """Go on with what was held back. Raises `NotFound`."""
        return await self._change(endpoint, lambda old: _afresh(replace(old, paused=False)) if old.paused else old)

    async def rotate(self, endpoint: str, *, grace: float = GRACE, secret: str | None = None) -> tuple[Endpoint, str]:
        """Replace the secret and the ed25519 key, if any; for *grace* seconds the old ones sign too.

        Raises `NotFound`, `InvalidInput` (grace, secret).
        """
        if not 0 <= grace <= GRACE_MOST:
            raise InvalidInput(f"seconds from 0 to {GRACE_MOST:.0f}", field="grace")
        if secret is not None:
            signing.own_secret(secret)

        def work(transaction: UnitOfWork) -> tuple[Endpoint, str]:
            old = _found(transaction.endpoints.keys(endpoint))
            now = timestamps.now()
            before = RetiredSecret(old.secret, old.private, now + timedelta(seconds=grace))
            retired = old.retired if old.damaged else (before, *old.retired)
            keys = signing.new_keys(secret, ed25519=old.public is not None)
            still = tuple(one for one in retired if one.until > now)[:_RETIRED_MOST]
            transaction.endpoints.set_keys(endpoint, replace(keys, retired=still))
            return _found(transaction.endpoints.get(endpoint)), keys.secret

        rotated = await self._database.write(work)
        self._changed(endpoint)
        return rotated

    async def delete(self, endpoint: str) -> None:
        """Forget an endpoint and all that waits for it. Raises `NotFound`."""
        if not await self._database.write(lambda transaction: transaction.endpoints.delete(endpoint)):
            raise NotFound("no such webhook", field="webhook")
        self._changed(endpoint)

    async def _change(
        self, endpoint: str, change: Callable[[Endpoint], Endpoint], *, ed25519: bool | None = None
    ) -> Endpoint:
        resumed: list[bool] = []

        def work(transaction: UnitOfWork) -> Endpoint:
            old = _found(transaction.endpoints.get(endpoint))
            new = change(old)
            transaction.endpoints.update(new)
            resumed.append(new.resumed_at != old.resumed_at)
            if ed25519 is not None and ed25519 != (old.public_key is not None):
                keys = _found(transaction.endpoints.keys(endpoint))
                if keys.damaged:
                    raise Conflict("its keys cannot be read, as the database is damaged: rotate the secret first")
                fresh = signing.new_keys(keys.secret, ed25519=ed25519)
                transaction.endpoints.set_keys(endpoint, replace(fresh, retired=keys.retired))
            return _found(transaction.endpoints.get(endpoint))

        new = await self._database.write(work)
        if any(resumed):
            await make_due(self._database, endpoint)
        self._changed(endpoint)
        return new


def _afresh(endpoint: Endpoint) -> Endpoint:
    """As one that begins now: what went wrong before does not count."""
    well = replace(endpoint, disabled_reason=None, failing_since=None, unreachable_since=None, next_attempt_at=None)
    return replace(well, resumed_at=timestamps.now())


def _found(what: T | None) -> T:
    if what is None:
        raise NotFound("no such webhook", field="webhook")
    return what
