"""Can the clock be trusted enough to delete by it? One that jumped days ahead would have everything pruned at once.

A time is trusted when it follows from the last trusted one: by the time that has passed since, or, over a restart, by
no more than `JUMP`. After a longer gap nobody can tell whether the daemon was off or the clock is wrong; then the
clock has to go on without a jump for `PROOF` seconds of the daemon's running, restarts included.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.store.ports import ClockRepository
from zapwire.store.ports.journal import PROOF
from zapwire.store.sqlite.repository import Repository

JUMP: Final = 48 * 3600.0
"""Seconds by which the clock may be off what is expected, either way."""
UNSTEADY: Final = 300.0
"""Seconds that the clock may be set by while it proves itself."""


class SqliteClock(Repository, ClockRepository):
    """See `ClockRepository`."""

    @override
    def note(self, now: datetime, passed: float | None) -> datetime | None:
        moment = timestamps.to_ms(now)
        row = self._sql.execute("SELECT trusted, seen, stood FROM clock").fetchone()
        if row is None:
            self._store(moment, moment, 0)
            return None
        trusted, seen, stood = row
        went = int((passed or 0.0) * 1000)
        off = moment - seen - went
        follows = abs(moment - trusted - (went if seen == trusted else 0)) <= JUMP * 1000
        steady = abs(off) <= (JUMP if passed is None else UNSTEADY) * 1000
        stood = stood + went if steady else 0
        if follows or stood >= PROOF * 1000:
            self._store(moment, moment, 0)
            return None
        self._store(trusted, moment, stood)
        return timestamps.from_ms(trusted)

    def _store(self, trusted: int, seen: int, stood: int) -> None:
        self._sql.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", (trusted, seen, stood))
