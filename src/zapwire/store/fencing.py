"""Only its owner writes for a bot: writes of one that was replaced are refused, however late they come.

Whoever takes a bot over gets a number (its *epoch*) that is higher than that of the owner before. A write that carries
an older one changes nothing. So a process that stood still, and wakes up when another one runs its bots, does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from zapwire.model.bots import BotId
from zapwire.model.errors import Fenced
from zapwire.store.ports import Transactions, UnitOfWork, View

T = TypeVar("T")

_NONE: Final = -1


class OwnedStore:
    """The store as one owner of one bot uses it: every write carries its epoch.

    It becomes the owner with `claim`, or else with its first write.
    """

    __slots__ = ("_bot", "_epoch", "_store")

    def __init__(self, store: Transactions, bot: BotId) -> None:
        self._store = store
        self._bot = bot
        self._epoch = _NONE

    def claim(self, unit: UnitOfWork) -> None:
        """Become the owner as part of *unit*: whoever was that before is fenced off once it is committed."""
        epoch = unit.bots.take_over(self._bot)

        def committed() -> None:
            self._epoch = epoch

        unit.after_commit.append(committed)

    async def write(self, work: Callable[[UnitOfWork], T], /) -> T:
        """See `Transactions.write`. Raises `Fenced`, nothing being changed, when the bot has another owner by now."""

        def fenced(unit: UnitOfWork) -> T:
            if self._epoch == _NONE:
                self.claim(unit)
            elif unit.bots.epoch(self._bot) != self._epoch:
                raise Fenced(f"bot {self._bot} is run by another process now")
            return work(unit)

        return await self._store.write(fenced)

    async def read(self, work: Callable[[View], T], /) -> T:
        """See `Transactions.read`."""
        return await self._store.read(work)
