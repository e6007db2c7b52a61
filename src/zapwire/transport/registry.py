"""The networks that this daemon can connect to, by the kind that is stored with each bot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from typing_extensions import override

from zapwire.model.bots import BotId, BotRow, Identity, TransportKind
from zapwire.model.errors import Blocked, Condition, NotSupported
from zapwire.model.messages import Outgoing, Sent
from zapwire.transport.protocol import Capabilities, Emit, KeepsAuthState, Transport, TransportFactory


class TransportRegistry:
    """Finds the factory of a bot's transport; *factories* are those that this process has."""

    def __init__(self, factories: Mapping[TransportKind, TransportFactory]) -> None:
        self._factories: Final = dict(factories)

    @property
    def factories(self) -> list[TransportFactory]:
        """All of them, for what is asked of each, such as whether its engine answers."""
        return [*self._factories.values()]

    def factory(self, kind: TransportKind) -> TransportFactory:
        """Raises `NotSupported` (transport) when this process has no transport of that kind."""
        if kind not in self._factories:
            raise _not_supported(kind)
        return self._factories[kind]

    def make(self, row: BotRow) -> Transport:
        """The transport of a bot; one whose kind is missing is made as well, and says so when it is run."""
        if row.transport not in self._factories:
            return _Missing(row.transport)
        return self._factories[row.transport](row.id)

    def auth_state(self, kind: TransportKind) -> KeepsAuthState:
        """What keeps the auth state of bots of that kind; where there is none to keep, nothing is found."""
        factory = self._factories.get(kind)
        return factory if isinstance(factory, KeepsAuthState) else _NOTHING_KEPT


class _Missing(Transport):
    """Stands for a transport that this process does not have."""

    def __init__(self, kind: TransportKind) -> None:
        self.account = Identity()
        self._kind = kind

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(message_types=frozenset())

    @override
    async def run(self, emit: Emit) -> None:
        await asyncio.sleep(0)
        raise Blocked(
            _not_supported(self._kind).detail,
            action="Install what it needs, or delete the bot.",
            condition=Condition.TRANSPORT_MISSING,
        )

    @override
    async def send(self, message: Outgoing) -> Sent:
        raise _not_supported(self._kind)


def _not_supported(kind: TransportKind) -> NotSupported:
    return NotSupported(f"this zapwire has no transport {kind.value}", field="transport")


class _NothingKept(KeepsAuthState):
    """Implements `KeepsAuthState` for networks without auth state."""

    @override
    async def state(self, bot: BotId, *, at_rest: bool) -> bytes:
        raise NotSupported("bots of this transport have no auth state that could be exported")

    @override
    async def keeps(self, bot: BotId) -> bool:
        return False

    @override
    async def adopt(self, bot: BotId, state: bytes) -> None:
        raise NotSupported("bots of this transport have no auth state that could be imported")

    @override
    async def forget(self, bot: BotId) -> None:
        pass


_NOTHING_KEPT: Final = _NothingKept()
