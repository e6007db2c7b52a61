"""Ids of persons that turned out to be other persons', as all parts of the daemon know them at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from zapwire.model.bots import BotId
from zapwire.model.messages import KnownParty
from zapwire.store.ports import Store, UnitOfWork

Follower = Callable[[BotId, str, str], None]
"""Called on the loop with an id and the id that it leads to from now on. Must not raise."""


class PersonMerges:
    """All merges there were; followers hear of those to come, before any event that shows them is published."""

    def __init__(self) -> None:
        self._into: dict[str, str] = {}
        self._followers: list[Follower] = []

    async def load(self, database: Store) -> None:
        """Read those of former runs. Raises `StoreError`."""
        self._into.update(await database.read(lambda unit: unit.persons.merges()))

    def follow(self, follower: Follower) -> None:
        """Tell *follower* of each merge to come."""
        self._followers.append(follower)

    def add(self, bot: BotId, gone: str, person: str) -> None:
        """*gone* is *person*'s id now, too."""
        self._into[gone] = person
        for follower in self._followers:
            follower(bot, gone, person)

    def note(self, transaction: UnitOfWork, bot: BotId, known: KnownParty | None) -> None:
        """Add the merges that were made when somebody became *known*, once *transaction* is committed."""
        if known is not None:
            for gone in known.gone:
                transaction.after_commit.append(partial(self.add, bot, gone, str(known.party.id)))

    def now(self, one: str) -> str:
        """The id that *one* leads to; itself, when that is no other."""
        while (other := self._into.get(one)) is not None:
            one = other
        return one
