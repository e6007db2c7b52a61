from __future__ import annotations

import pytest

from tests.core.scripted import registered
from tests.harness.scripted import ScriptedTransports
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, TransportKind
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Blocked, NotSupported
from zapwire.model.messages import Outgoing
from zapwire.transport.protocol import KeepsAuthState
from zapwire.transport.registry import TransportRegistry

BOT = BotId("shop")
ROW = BotRow(BOT, "Shop", autostart=True, created_at=timestamps.now())


class Plain:
    """A factory without any of the optional powers."""

    def __call__(self, bot: BotId) -> object:
        return object()


def test_a_bots_kind_finds_its_factory():
    transports = ScriptedTransports()
    registry = registered(transports)
    assert registry.factory(TransportKind.WHATSAPP_WEB) is transports
    assert registry.make(ROW) is transports.made[BOT]
    assert registry.auth_state(TransportKind.WHATSAPP_WEB) is transports


async def test_a_bot_whose_transport_is_missing_says_so_and_sends_nothing():
    registry = TransportRegistry({})
    with pytest.raises(NotSupported):
        registry.factory(TransportKind.WHATSAPP_WEB)
    transport = registry.make(ROW)
    with pytest.raises(Blocked) as blocked:
        await transport.run(None)  # type: ignore[arg-type]
    assert blocked.value.condition == "transport-missing"
    with pytest.raises(NotSupported):
        await transport.send(Outgoing("1@lid", TextContent(text="hi")))


async def test_a_transport_without_auth_state_has_none_to_find_or_to_move():
    keeper = TransportRegistry({TransportKind.WHATSAPP_WEB: Plain()}).auth_state(TransportKind.WHATSAPP_WEB)
    assert isinstance(keeper, KeepsAuthState)
    assert not await keeper.keeps(BOT)
    await keeper.forget(BOT)
    with pytest.raises(NotSupported):
        await keeper.state(BOT, at_rest=True)
    with pytest.raises(NotSupported):
        await keeper.adopt(BOT, b"")
