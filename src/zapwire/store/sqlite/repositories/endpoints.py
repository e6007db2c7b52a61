"""Webhook endpoints: where events are sent to, with what keys, and how far each has come in the journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.webhooks import Endpoint, EndpointHealth, EndpointKeys, RetiredSecret
from zapwire.store.sqlite.repository import InnerEndpoints, Repository
from zapwire.store.sqlite.sealed_values import Row, Values

_COLUMNS = (
    "id, url, events, bots, enabled, cursor, failing_since, last_error, created_at, description, headers, "
    "concurrency, public_key, reply, paused, disabled_reason, resumed_at, timeout, client_error_attempts, "
    "unreachable_since, next_try, format"
)


def _endpoint(values: Values, row: Sequence[Any]) -> Endpoint:
    endpoint, url, events, bots, enabled, cursor, failing, error, created, *rest = row
    description, headers, concurrency, public_key, reply, paused, reason, resumed, *patience = rest
    timeout, client_error_attempts, unreachable, next_attempt_at, form = patience
    opened = values.row("endpoints", endpoint)
    return Endpoint(
        id=endpoint,
        url=opened.open("url", url) or "",
        events=_words(opened, "events", events),
        bots=None if bots is None else _words(opened, "bots", bots),
        enabled=bool(enabled),
        created_at=timestamps.from_ms(created),
        cursor=cursor,
        failing_since=timestamps.from_ms_or_none(failing),
        last_error=error,
        description=opened.open("description", description) or "",
        headers=opened.json("headers", opened.open("headers", headers), dict) or {},
        concurrency=concurrency,
        public_key=public_key,
        reply=bool(reply),
        paused=bool(paused),
        disabled_reason=reason,
        resumed_at=timestamps.from_ms_or_none(resumed),
        damaged=tuple(opened.damaged),
        timeout=timeout,
        client_error_attempts=client_error_attempts,
        unreachable_since=timestamps.from_ms_or_none(unreachable),
        next_attempt_at=timestamps.from_ms_or_none(next_attempt_at),
        format=form,
    )


def _words(opened: Row, column: str, text: str) -> tuple[str, ...]:
    found = opened.json(column, text, list) or []
    if all(isinstance(word, str) for word in found):
        return tuple(found)
    opened.spoiled(column)
    return ()


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else timestamps.to_ms(moment)


class SqliteEndpoints(Repository, InnerEndpoints):
    """See `EndpointRepository`."""

    @override
    def insert(self, endpoint: Endpoint, keys: EndpointKeys) -> Endpoint:
        cursor = self._unit.journal.last_seq()
        self._sql.execute(
            "INSERT INTO endpoints (id, url, secret, events, bots, enabled, cursor, created_at) "
            "VALUES (?1, x'', x'', '[]', NULL, 1, ?2, ?3)",
            (endpoint.id, cursor, timestamps.to_ms(endpoint.created_at)),
        )
        self.update(endpoint)
        self.set_keys(endpoint.id, keys)
        stored = self.get(endpoint.id)
        assert stored is not None  # noqa: S101 - just inserted
        return stored

    @override
    def update(self, endpoint: Endpoint) -> None:
        values, keep = self._values, endpoint.damaged
        headers = json.dumps(dict(endpoint.headers)) if endpoint.headers else None
        self._sql.execute(
            "UPDATE endpoints SET url = iif(?, url, ?), events = iif(?, events, ?), bots = iif(?, bots, ?), "
            "enabled = ?, "
            "description = iif(?, description, ?), "
            "headers = iif(?, headers, ?), concurrency = ?, reply = ?, paused = ?, disabled_reason = ?, "
            "resumed_at = ?, failing_since = ?, timeout = ?, client_error_attempts = ?, unreachable_since = ?, "
            "next_try = ?, format = ? WHERE id = ?",
            (
                *("url" in keep and not endpoint.url, values.seal("endpoints.url", endpoint.id, endpoint.url)),
                *("events" in keep and not endpoint.events, json.dumps(endpoint.events)),
                *("bots" in keep and endpoint.bots == (), None if endpoint.bots is None else json.dumps(endpoint.bots)),
                *(endpoint.enabled, "description" in keep and not endpoint.description),
                values.seal("endpoints.description", endpoint.id, endpoint.description or None),
                *("headers" in keep and headers is None, values.seal("endpoints.headers", endpoint.id, headers)),
                *(endpoint.concurrency, endpoint.reply, endpoint.paused, endpoint.disabled_reason),
                *(
                    _ms(endpoint.resumed_at),
                    _ms(endpoint.failing_since),
                    endpoint.timeout,
                    endpoint.client_error_attempts,
                ),
                *(_ms(endpoint.unreachable_since), _ms(endpoint.next_attempt_at), endpoint.format, endpoint.id),
            ),
        )
        if keep:
            values.damages.forget("endpoints", endpoint.id)

    @override
    def delete(self, endpoint: str) -> bool:
        query = "UPDATE endpoints SET deleted_at = ?, enabled = 0 WHERE id = ? AND deleted_at IS NULL"
        if not self._sql.execute(query, (timestamps.to_ms(timestamps.now()), endpoint)).rowcount:
            return False
        self._unit.deleted = True
        self._values.damages.forget("endpoints", endpoint)
        return True

    @override
    def all_endpoints(self) -> list[Endpoint]:
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM endpoints WHERE deleted_at IS NULL ORDER BY created_at, rowid"  # noqa: S608 - constants
        )
        return [_endpoint(self._values, row) for row in rows]

    @override
    def behind(self, seq: int) -> list[Endpoint]:
        query = (
            f"SELECT {_COLUMNS} FROM endpoints WHERE deleted_at IS NULL AND (cursor < ?1 OR EXISTS ("  # noqa: S608 - constant
            "SELECT 1 FROM deliveries INDEXED BY deliveries_trouble WHERE endpoint = endpoints.id "
            "AND state IN ('pending', 'failed') AND state != 'delivered' AND seq <= ?1)) ORDER BY created_at, rowid"
        )
        return [_endpoint(self._values, row) for row in self._sql.execute(query, (seq,)).fetchall()]

    @override
    def get(self, endpoint: str) -> Endpoint | None:
        query = f"SELECT {_COLUMNS} FROM endpoints WHERE id = ? AND deleted_at IS NULL"  # noqa: S608 - constant
        row = self._sql.execute(query, (endpoint,)).fetchone()
        return None if row is None else _endpoint(self._values, row)

    @override
    def exists(self, endpoint: str) -> bool:
        query = "SELECT 1 FROM endpoints WHERE id = ? AND deleted_at IS NULL"
        return self._sql.execute(query, (endpoint,)).fetchone() is not None

    @override
    def keys(self, endpoint: str) -> EndpointKeys | None:
        query = "SELECT secret, private_key, public_key, retired FROM endpoints WHERE id = ? AND deleted_at IS NULL"
        row = self._sql.execute(query, (endpoint,)).fetchone()
        if row is None:
            return None
        secret, private, public, retired = row
        opened = self._values.row("endpoints", endpoint)
        return EndpointKeys(
            opened.open("secret", secret) or "",
            opened.open("private_key", private),
            public,
            tuple(
                RetiredSecret(one[0], one[1], timestamps.from_ms(one[2]))
                for one in json.loads(opened.open("retired", retired) or "[]")
            ),
            tuple(opened.damaged),
        )

    @override
    def set_keys(self, endpoint: str, new: EndpointKeys) -> None:
        values = self._values
        retired = [[one.secret, one.private, timestamps.to_ms(one.until)] for one in new.retired]
        self._sql.execute(
            "UPDATE endpoints SET secret = ?, private_key = ?, public_key = ?, retired = ? WHERE id = ?",
            (
                values.seal("endpoints.secret", endpoint, new.secret),
                values.seal("endpoints.private_key", endpoint, new.private),
                new.public,
                values.seal("endpoints.retired", endpoint, json.dumps(retired) if retired else None),
                endpoint,
            ),
        )
        values.damages.forget("endpoints", endpoint)

    @override
    def save_cursor(self, endpoint: str, cursor: int) -> None:
        self._sql.execute("UPDATE endpoints SET cursor = ? WHERE id = ? AND cursor < ?", (cursor, endpoint, cursor))

    @override
    def set_health(self, endpoint: str, health: EndpointHealth | None = None) -> None:
        values: tuple[str | int | None, ...] = (None, None, None, None)
        if health is not None:
            values = (health.error, _ms(health.since), _ms(health.unreachable_since), _ms(health.next_attempt_at))
        self._sql.execute(
            "UPDATE endpoints SET last_error = ?, failing_since = ?, unreachable_since = ?, next_try = ? WHERE id = ?",
            (*values, endpoint),
        )

    @override
    def disable(self, endpoint: str, reason: str) -> bool:
        done = self._sql.execute(
            "UPDATE endpoints SET enabled = 0, disabled_reason = ? WHERE id = ? AND enabled", (reason, endpoint)
        )
        return done.rowcount == 1
