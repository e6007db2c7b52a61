"""What a bot does not want is dropped before it is stored."""

from __future__ import annotations

from pathlib import Path

from tests.core.scripted import World, text, world
from zapwire.model.bots import BotState
from zapwire.model.messages import Party

GROUP = Party("120363000000000001@g.us")


async def told(at: World) -> list[str]:
    return [event.data["id"] for event in await at.events("message.received")]


async def test_by_its_own_rules_or_those_of_the_settings_over_a_restart(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        made = await at.core.bots.create("bot", ignore=["8000*@lid", "from_me"])
        assert made.ignore == ("8000*@lid", "from_me")
        await at.until("bot", BotState.CONNECTED)
        await at.tell("bot", text("A"))
        await at.tell("bot", text("B", chat=GROUP))
        await at.tell("bot", text("C", chat=GROUP, from_me=True))
        assert await told(at) == ["B"]
    async with world(tmp_path / "db", linked=True) as at:
        await at.until("bot", BotState.CONNECTED)
        await at.tell("bot", text("D"))
        changed = await at.core.bots.get("bot").change(ignore=None)
        assert changed.ignore is None
        await at.tell("bot", text("E"))
        assert await told(at) == ["B", "E"]
