"""Numbers as people give them: of the default country, or with their country code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.scripted import World, qr, world
from zapwire.model.bots import BotState
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput

LOCAL = "11 99876-5432"


async def sent_to(at: World, to: str) -> str:
    return (await at.core.outbox.submit("bot", to, TextContent(text="oi"))).to.jid


async def test_without_a_default_country_a_local_number_is_refused(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        with pytest.raises(InvalidInput, match="no country code") as refused:
            await sent_to(at, LOCAL)
        assert refused.value.field == "to"
        assert await sent_to(at, "+55 " + LOCAL) == "5511998765432@s.whatsapp.net"


async def test_a_bot_has_a_default_country_of_its_own_or_that_of_the_daemon(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, default_country="US") as at:
        made = await at.core.bots.create("bot", default_country="br")
        assert made.default_country == "BR"
        await at.until("bot", BotState.CONNECTED)
        assert await sent_to(at, LOCAL) == "5511998765432@s.whatsapp.net"
        changed = await at.core.bots.get("bot").change(default_country=None)
        assert changed.default_country is None
        assert await sent_to(at, "(212) 555-0123") == "12125550123@s.whatsapp.net"
        await at.core.bots.get("bot").change(default_country="DE")
        with pytest.raises(InvalidInput, match="not a country") as refused:
            await at.core.bots.get("bot").change(default_country="XX")
        assert refused.value.field == "default_country"
    async with world(tmp_path / "db", linked=True) as at:  # it outlives the daemon
        assert await sent_to(at, "0151 23456789") == "4915123456789@s.whatsapp.net"


async def test_a_code_is_asked_for_a_number_of_the_default_country(tmp_path: Path):
    async with world(tmp_path / "db", default_country="BR") as at:
        await at.core.bots.create("bot")
        await at.tell("bot", qr())
        assert (await at.core.bots.get("bot").pairing_code(LOCAL)).code
