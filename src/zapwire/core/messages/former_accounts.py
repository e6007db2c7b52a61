"""What waits for an account that its bot no longer has fails, a little at a time, so that no other write waits long.

What is left when the daemon stops is done at the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from zapwire.core.messages import inbox
from zapwire.core.messages.send_worker import UNLINKED
from zapwire.core.store_retry import retry_until_stored
from zapwire.model.bots import BotId
from zapwire.model.errors import StoreError
from zapwire.model.messages import MessageState, OutgoingView
from zapwire.runtime.tasks import Tasks
from zapwire.store.ports import Store, UnitOfWork

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50
"""Messages that are failed in one transaction: some 5 ms."""


class FormerAccounts:
    """Fails messages to accounts that are gone; *settled* hears of each."""

    def __init__(self, store: Store, again: float, tasks: Tasks, settled: Callable[[OutgoingView], None]) -> None:
        """A failing *store* is tried *again* after so many seconds."""
        self._store = store
        self._again = again
        self._tasks = tasks
        self._settled = settled
        self._bots: set[BotId] = set()
        """Those whose messages are being failed."""
        self.closing = False
        """No more is begun."""

    def fail(self, bot: BotId) -> None:
        """Begin with those of *bot*, if that is not under way."""
        if bot not in self._bots:
            self._bots.add(bot)
            self._tasks.spawn(self._fail_all(bot), f"failing-{bot}")

    async def _fail_all(self, bot: BotId) -> None:
        try:
            step = partial(self._store.write, partial(_fail_some, bot=bot))
            retry = partial(retry_until_stored, step, bot, self._again, closing=lambda: self.closing)
            while not self.closing and (some := await retry()):
                for view in some:
                    self._settled(view)
        except StoreError as error:
            log.error("bot %s: messages to a former account could not be failed: %s", bot, error)  # noqa: TRY400
        finally:
            self._bots.discard(bot)


def _fail_some(transaction: UnitOfWork, bot: BotId) -> list[OutgoingView]:
    """Fail some of what waits for an account that is gone, and tell it."""
    found = []
    for message in transaction.outbox.lost(bot, _AT_ONCE):
        if transaction.outbox.finish(message, MessageState.FAILED, UNLINKED):
            view = inbox.emit_status(transaction, bot, message)
            if view is not None:
                found.append(view)
    return found
