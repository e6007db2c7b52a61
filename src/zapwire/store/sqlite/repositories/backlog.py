"""How much waits in the database."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.backlog import Backlog, WaitingCounts
from zapwire.store.ports import BacklogRepository
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.soft_delete import GONE_BOTS, GONE_ENDPOINTS

WEBHOOKS: Final = ("working", "failing", "unreachable", "paused", "disabled")
"""How a webhook does: takes what comes, has just refused something, cannot be reached, is held back or off."""
_WEBHOOKS_BY_STATE: Final = """
    SELECT CASE WHEN NOT enabled THEN 'disabled' WHEN paused THEN 'paused' WHEN unreachable_since IS NOT NULL
        THEN 'unreachable' WHEN failing_since IS NOT NULL THEN 'failing' ELSE 'working' END AS state, count(*)
    FROM endpoints WHERE deleted_at IS NULL GROUP BY state
"""


class SqliteBacklog(Repository, BacklogRepository):
    """See `BacklogRepository`."""

    @override
    def backlog(self) -> Backlog:
        rows = self._sql.execute(
            "SELECT bot, count(*), min(created_at) FROM outbox WHERE state IN ('queued', 'sending') "  # noqa: S608 - constant
            f"AND bot NOT IN {GONE_BOTS} GROUP BY bot"
        )
        outbox = {bot: WaitingCounts(count, timestamps.from_ms(oldest)) for bot, count, oldest in rows}
        there = f"endpoint NOT IN {GONE_ENDPOINTS}"
        queued_query = f"SELECT count(*) FROM deliveries WHERE due IS NOT NULL AND {there}"  # noqa: S608 - constant
        (queued,) = self._sql.execute(queued_query).fetchone()
        (dead,) = self._sql.execute(f"SELECT count(*) FROM dead_letters WHERE {there}").fetchone()  # noqa: S608 - constants
        found = dict.fromkeys(WEBHOOKS, 0)
        for state, count in self._sql.execute(_WEBHOOKS_BY_STATE):
            found[state] = count
        return Backlog(outbox, queued, dead, found)
