"""Webhook endpoints: where events are sent to, with what keys, and how far each has come in the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from zapwire.events import SECRET
from zapwire.store import journal, times
from zapwire.store.db import Transaction
from zapwire.store.values import Connection, Row, Values

_COLUMNS = (
    "id, url, events, bots, enabled, cursor, failing_since, last_error, created_at, description, headers, "
    "concurrency, public_key, reply, paused, disabled_reason, resumed_at, timeout, client_error_attempts, "
    "unreachable_since, next_try"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent to."""

    id: str
    url: str = field(repr=False)
    events: tuple[str, ...]
    """Types, `*`, or a family like `message.*`; secret ones only by their type."""
    bots: tuple[str, ...] | None
    """None: all. What is of no bot is for everybody."""
    enabled: bool
    """Else it is disabled: by a person or by us, as *disabled_reason* says."""
    created_at: datetime
    cursor: int = 0
    """Every event up to here is delivered, waits as a delivery, was given up or is none of this endpoint's."""
    failing_since: datetime | None = None
    last_error: str | None = None
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its own request headers; secrets."""
    concurrency: int = 16
    """Deliveries at the same time, each of another chat."""
    public_key: str | None = None
    """`whpk_...`, when deliveries are signed with ed25519 too."""
    reply: bool = False
    """May an answer carry a message to send?"""
    paused: bool = False
    """Nothing is delivered, and that does not count as failing."""
    disabled_reason: str | None = None
    resumed_at: datetime | None = None
    """When it was last enabled or resumed: waiting before that does not count against an event."""
    damaged: tuple[str, ...] = ()
    """Columns of its row that do not open; they are empty here, and stay as they are until they get a new value."""
    timeout: float = 15.0
    """Seconds for one delivery."""
    client_error_attempts: int = 3
    """After so many attempts an event that it answers with 4xx, while it takes others, is given up."""
    unreachable_since: datetime | None = None
    """Since then it cannot be reached or does not answer."""
    next_try: datetime | None = None
    """When it is tried again, while it is unreachable."""

    def wants(self, kind: str, bot: str) -> bool:
        """Are events of type *kind* about *bot* (empty: about none) for this endpoint?"""
        if self.bots is not None and bot and bot not in self.bots:
            return False
        if kind in self.events:
            return True
        return kind not in SECRET and any(one in {"*", f"{kind.split('.', maxsplit=1)[0]}.*"} for one in self.events)


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint does whose deliveries fail."""

    error: str | None
    since: datetime
    """When the first failure after the last success was."""
    unreachable_since: datetime | None = None
    next_try: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retired:
    """Keys that were replaced and still sign beside the new ones."""

    secret: str
    private: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Keys:
    """What one endpoint's deliveries are signed with."""

    secret: str
    """`whsec_...`."""
    private: str | None = None
    """`whsk_...`."""
    public: str | None = None
    """`whpk_...`."""
    retired: tuple[Retired, ...] = ()
    damaged: tuple[str, ...] = ()
    """Columns that do not open, and are empty here."""


def insert(transaction: Transaction, endpoint: Endpoint, keys: Keys) -> Endpoint:
    """Store a new endpoint; it gets what happens from now on."""
    cursor = journal.last_seq(transaction.sql)
    transaction.sql.execute(
        "INSERT INTO endpoints (id, url, secret, events, bots, enabled, cursor, created_at) "
        "VALUES (?1, x'', x'', '[]', NULL, 1, ?2, ?3)",
        (endpoint.id, cursor, times.to_ms(endpoint.created_at)),
    )
    update(transaction, endpoint)
    set_keys(transaction, endpoint.id, keys)
    stored = get(transaction.sql, endpoint.id)
    assert stored is not None  # noqa: S101 - just inserted
    return stored


def update(transaction: Transaction, endpoint: Endpoint) -> None:
    """Store what a person can change of an endpoint."""
    values, keep = transaction.sql.values, endpoint.damaged
    headers = json.dumps(dict(endpoint.headers)) if endpoint.headers else None
    transaction.sql.execute(
        "UPDATE endpoints SET url = iif(?, url, ?), events = iif(?, events, ?), bots = iif(?, bots, ?), enabled = ?, "
        "description = iif(?, description, ?), "
        "headers = iif(?, headers, ?), concurrency = ?, reply = ?, paused = ?, disabled_reason = ?, "
        "resumed_at = ?, failing_since = ?, timeout = ?, client_error_attempts = ?, unreachable_since = ?, "
        "next_try = ? WHERE id = ?",
        (
            *("url" in keep and not endpoint.url, values.seal("endpoints.url", endpoint.id, endpoint.url)),
            *("events" in keep and not endpoint.events, json.dumps(endpoint.events)),
            *("bots" in keep and endpoint.bots == (), None if endpoint.bots is None else json.dumps(endpoint.bots)),
            *(endpoint.enabled, "description" in keep and not endpoint.description),
            values.seal("endpoints.description", endpoint.id, endpoint.description or None),
            *("headers" in keep and headers is None, values.seal("endpoints.headers", endpoint.id, headers)),
            *(endpoint.concurrency, endpoint.reply, endpoint.paused, endpoint.disabled_reason),
            *(_ms(endpoint.resumed_at), _ms(endpoint.failing_since), endpoint.timeout, endpoint.client_error_attempts),
            *(_ms(endpoint.unreachable_since), _ms(endpoint.next_try), endpoint.id),
        ),
    )
    if keep:
        values.damages.forget("endpoints", endpoint.id)  # what is damaged still is reported anew


def delete(transaction: Transaction, endpoint: str) -> bool:
    """Delete an endpoint and all that waits for it: hidden at once, then purged bit by bit. False: there is none."""
    query = "UPDATE endpoints SET deleted_at = ?, enabled = 0 WHERE id = ? AND deleted_at IS NULL"
    if not transaction.sql.execute(query, (times.to_ms(times.now()), endpoint)).rowcount:
        return False
    transaction.deleted = True
    transaction.sql.values.damages.forget("endpoints", endpoint)
    return True


def all_endpoints(sql: Connection) -> list[Endpoint]:
    """All endpoints, oldest first."""
    rows = sql.execute(f"SELECT {_COLUMNS} FROM endpoints WHERE deleted_at IS NULL ORDER BY created_at, rowid")  # noqa: S608
    return [_endpoint(sql.values, row) for row in rows]


def behind(sql: Connection, seq: int) -> list[Endpoint]:
    """The endpoints that may still have to get something of the events up to *seq*."""
    query = (
        f"SELECT {_COLUMNS} FROM endpoints WHERE deleted_at IS NULL AND (cursor < ?1 OR EXISTS ("  # noqa: S608 - constant
        "SELECT 1 FROM deliveries INDEXED BY deliveries_trouble WHERE endpoint = endpoints.id "
        "AND state IN ('pending', 'failed') AND state != 'delivered' AND seq <= ?1)) ORDER BY created_at, rowid"
    )
    return [_endpoint(sql.values, row) for row in sql.execute(query, (seq,)).fetchall()]


def get(sql: Connection, endpoint: str) -> Endpoint | None:
    """One endpoint."""
    query = f"SELECT {_COLUMNS} FROM endpoints WHERE id = ? AND deleted_at IS NULL"  # noqa: S608 - constant
    row = sql.execute(query, (endpoint,)).fetchone()
    return None if row is None else _endpoint(sql.values, row)


def exists(sql: Connection, endpoint: str) -> bool:
    """Is there this endpoint?"""
    query = "SELECT 1 FROM endpoints WHERE id = ? AND deleted_at IS NULL"
    return sql.execute(query, (endpoint,)).fetchone() is not None


def keys(sql: Connection, endpoint: str) -> Keys | None:
    """What its deliveries are signed with; None when there is no such endpoint."""
    query = "SELECT secret, private_key, public_key, retired FROM endpoints WHERE id = ? AND deleted_at IS NULL"
    row = sql.execute(query, (endpoint,)).fetchone()
    if row is None:
        return None
    secret, private, public, retired = row
    opened = sql.values.row("endpoints", endpoint)
    return Keys(
        opened.open("secret", secret) or "",
        opened.open("private_key", private),
        public,
        tuple(
            Retired(one[0], one[1], times.from_ms(one[2]))
            for one in json.loads(opened.open("retired", retired) or "[]")
        ),
        tuple(opened.damaged),
    )


def set_keys(transaction: Transaction, endpoint: str, new: Keys) -> None:
    """Replace what deliveries are signed with."""
    values = transaction.sql.values
    retired = [[one.secret, one.private, times.to_ms(one.until)] for one in new.retired]
    transaction.sql.execute(
        "UPDATE endpoints SET secret = ?, private_key = ?, public_key = ?, retired = ? WHERE id = ?",
        (
            values.seal("endpoints.secret", endpoint, new.secret),
            values.seal("endpoints.private_key", endpoint, new.private),
            new.public,
            values.seal("endpoints.retired", endpoint, json.dumps(retired) if retired else None),
            endpoint,
        ),
    )
    values.damages.forget("endpoints", endpoint)  # what is damaged still is reported anew


def save_cursor(transaction: Transaction, endpoint: str, cursor: int) -> None:
    """Move an endpoint's cursor forward."""
    transaction.sql.execute("UPDATE endpoints SET cursor = ? WHERE id = ? AND cursor < ?", (cursor, endpoint, cursor))


def set_health(transaction: Transaction, endpoint: str, health: Health | None = None) -> None:
    """Note how an endpoint does whose deliveries fail, or with None that they work again."""
    values: tuple[str | int | None, ...] = (None, None, None, None)
    if health is not None:
        values = (health.error, _ms(health.since), _ms(health.unreachable_since), _ms(health.next_try))
    transaction.sql.execute(
        "UPDATE endpoints SET last_error = ?, failing_since = ?, unreachable_since = ?, next_try = ? WHERE id = ?",
        (*values, endpoint),
    )


def disable(transaction: Transaction, endpoint: str, reason: str) -> bool:
    """Stop delivering to an endpoint; False when that was so already."""
    done = transaction.sql.execute(
        "UPDATE endpoints SET enabled = 0, disabled_reason = ? WHERE id = ? AND enabled", (reason, endpoint)
    )
    return done.rowcount == 1


def _endpoint(values: Values, row: Sequence[Any]) -> Endpoint:
    endpoint, url, events, bots, enabled, cursor, failing, error, created, *rest = row
    description, headers, concurrency, public_key, reply, paused, reason, resumed, *patience = rest
    timeout, client_error_attempts, unreachable, next_try = patience
    opened = values.row("endpoints", endpoint)
    return Endpoint(
        id=endpoint,
        url=opened.open("url", url) or "",
        events=_words(opened, "events", events),
        bots=None if bots is None else _words(opened, "bots", bots),
        enabled=bool(enabled),
        created_at=times.from_ms(created),
        cursor=cursor,
        failing_since=times.from_ms_or_none(failing),
        last_error=error,
        description=opened.open("description", description) or "",
        headers=opened.json("headers", opened.open("headers", headers), dict) or {},
        concurrency=concurrency,
        public_key=public_key,
        reply=bool(reply),
        paused=bool(paused),
        disabled_reason=reason,
        resumed_at=times.from_ms_or_none(resumed),
        damaged=tuple(opened.damaged),
        timeout=timeout,
        client_error_attempts=client_error_attempts,
        unreachable_since=times.from_ms_or_none(unreachable),
        next_try=times.from_ms_or_none(next_try),
    )


def _words(opened: Row, column: str, text: str) -> tuple[str, ...]:
    found = opened.json(column, text, list) or []
    if all(isinstance(word, str) for word in found):
        return tuple(found)
    opened.spoiled(column)
    return ()


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else times.to_ms(moment)
