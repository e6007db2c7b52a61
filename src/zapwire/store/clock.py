"""Can the clock be trusted enough to delete by it? One that jumped days ahead would have everything pruned at once.

A time is trusted when it follows from the last trusted one: by the time that has passed since, or, over a restart, by
no more than `JUMP`. After a longer gap nobody can tell whether the daemon was off or the clock is wrong; then the
clock has to go on without a jump for `PROOF` seconds of the daemon's running, restarts included.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from zapwire.store import times
from zapwire.store.transaction import Transaction

JUMP: Final = 48 * 3600.0
"""Seconds by which the clock may be off what is expected, either way."""
PROOF: Final = 24 * 3600.0
UNSTEADY: Final = 300.0
"""Seconds that the clock may be set by while it proves itself."""


def note(transaction: Transaction, now: datetime, passed: float | None) -> datetime | None:
    """Note the time, when *passed* seconds have passed since the last call (None: that was in another process).

    Returns None when it can be trusted, else the last time that could.
    """
    moment = times.to_ms(now)
    row = transaction.sql.execute("SELECT trusted, seen, stood FROM clock").fetchone()
    if row is None:
        _store(transaction, moment, moment, 0)
        return None
    trusted, seen, stood = row
    went = int((passed or 0.0) * 1000)
    off = moment - seen - went
    follows = abs(moment - trusted - (went if seen == trusted else 0)) <= JUMP * 1000
    steady = abs(off) <= (JUMP if passed is None else UNSTEADY) * 1000
    stood = stood + went if steady else 0
    if follows or stood >= PROOF * 1000:
        _store(transaction, moment, moment, 0)
        return None
    _store(transaction, trusted, moment, stood)
    return times.from_ms(trusted)


def _store(transaction: Transaction, trusted: int, seen: int, stood: int) -> None:
    transaction.sql.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", (trusted, seen, stood))
