"""What happens to a bot's row, and to its auth state, when its connection tells something."""

from __future__ import annotations

import logging
from dataclasses import replace

from zapwire.core.bots.state import Change
from zapwire.core.bots.status import Status
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, Halt, Identity
from zapwire.transport.protocol import KeepsAuthState

log = logging.getLogger(__name__)


async def forget(auth_state: KeepsAuthState, bot: BotId) -> None:
    """Destroy worthless auth state, or the next connect would try to use it."""
    try:
        await auth_state.forget(bot)
    except Exception:
        log.exception("bot %s: its auth state could not be removed", bot)


def unlinked(status: Status) -> Change:
    """The change of a row when its device was removed from the account."""
    return lambda row: replace(halted(status, row), identity=Identity(), unlinking=None, restriction=None)


def halted(status: Status, row: BotRow) -> BotRow:
    """*row* with *status* as what outlives the daemon."""
    halt = Halt(
        status.state, status.reason or "", status.action or "", timestamps.now(), status.code, status.next_attempt_at
    )
    return replace(row, halt=halt)


def unknown(row: BotRow) -> BotRow:
    """*row* without an account."""
    return replace(row, identity=Identity())


def known(news: Identity, row: BotRow) -> BotRow:
    """*row* with what *news* tells of its account, which may be only a part."""
    old = row.identity
    identity = Identity(news.phone or old.phone, news.lid or old.lid, news.push_name or old.push_name)
    return replace(row, identity=identity, halt=None)
