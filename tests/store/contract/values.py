"""Values to store."""

from __future__ import annotations

from datetime import timedelta

from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.events import Event, EventType
from zapwire.model.messages import Message, MessageId, MessageState, NewMessage, Party
from zapwire.model.webhooks import Endpoint, EndpointKeys
from zapwire.store.ports import Store, UnitOfWork

SHOP = BotId("shop")
NOW = timestamps.from_ms(timestamps.to_ms(timestamps.now()))


def bot(unit: UnitOfWork, name: BotId = SHOP) -> None:
    assert unit.bots.insert(BotRow(name, name, autostart=True, created_at=timestamps.now()))


def submitted(number: int, to: str = "1@lid", key: str | None = None) -> NewMessage:
    now = timestamps.now()
    ours = MessageId(f"msg_{number}")
    what = TextContent(text=f"hi {number}")
    return NewMessage(ours, SHOP, to, what, b"digest", now, now + timedelta(hours=1), key=key)


def received(number: int, chat: str = "1@lid") -> Message:
    who = Party(chat, lid=chat)
    return Message(
        MessageId(f"3EB{number}"),
        who,
        who,
        from_me=False,
        timestamp=timestamps.now(),
        content=TextContent(text="hi"),
    )


def endpoint(unit: UnitOfWork, name: str = "whk_1") -> Endpoint:
    made = Endpoint(name, "https://example.org/hook", ("*",), None, enabled=True, created_at=timestamps.now())
    return unit.endpoints.insert(made, EndpointKeys("whsec_x"))


def emit(unit: UnitOfWork, number: int = 0, name: BotId = SHOP) -> Event:
    return unit.journal.append(EventType.BOT_STATE, name, {"number": number})


async def numbers(store: Store, after: int = 0, limit: int = 1000) -> list[int]:
    events, _ = await store.read(lambda view: view.journal.read(after, limit))
    return [event.data["number"] for event in events if isinstance(event, Event)]


async def state_of(store: Store, message: MessageId) -> MessageState:
    view = await store.read(lambda view: view.outbox.get(SHOP, message))
    assert view is not None
    return view.state
