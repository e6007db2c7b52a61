"""Votes in polls: of each person the newest."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.runtime.json_encoder import encode
from zapwire.store.ports import PollVoteRepository
from zapwire.store.sqlite.repository import Repository

_MOST: Final = 1024
"""Votes of one poll that are counted: as many as a group has members."""


class SqlitePollVotes(Repository, PollVoteRepository):
    """See `PollVoteRepository`."""

    @override
    def cast(self, bot: BotId, poll: str, voter: str, options: tuple[str, ...], voted_at: datetime) -> None:
        sealed = self._values.seal("poll_votes.options", f"{bot}/{poll}/{voter}", encode(options))
        self._sql.execute(
            "INSERT INTO poll_votes (bot, poll, voter, voted_at, options) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET voted_at = excluded.voted_at, options = excluded.options "
            "WHERE voted_at <= excluded.voted_at",
            (bot, poll, voter, timestamps.to_ms(voted_at), sealed),
        )

    @override
    def of(self, bot: BotId, poll: str) -> list[tuple[str, ...]]:
        rows = self._sql.execute(
            "SELECT voter, options FROM poll_votes WHERE bot = ? AND poll = ? LIMIT ?", (bot, poll, _MOST)
        )
        found = list[tuple[str, ...]]()
        for voter, sealed in rows:
            text = self._values.row("poll_votes", f"{bot}/{poll}/{voter}").open("options", sealed)
            if text is not None:
                found.append(tuple(json.loads(text)))
        return found
