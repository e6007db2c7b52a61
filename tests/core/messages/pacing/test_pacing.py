"""Messages wait by the bot's pacing, say so, and go when they may."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.core.messages.test_sending import OTHERS, connected, end, say
from tests.core.scripted import PHONE, QUICK, World, eventually, text, world
from zapwire.core.messages.pacing import rules
from zapwire.model.errors import InvalidInput, NotFound
from zapwire.model.messages import MessageState, OutgoingView, Party
from zapwire.model.pacing import PacingOptions

FEW = replace(QUICK, pacing=PacingOptions(new_chats_per_day=2))


async def waiting(at: World, message: OutgoingView) -> dict[str, Any]:
    """The event by which it is told that *message* waits."""
    found = list[dict[str, Any]]()

    async def told() -> bool:
        found[:] = [one.data for one in await at.events("message.status") if one.data["id"] == message.id]
        return bool(found)

    await eventually(told)
    return found[-1]


@pytest.mark.parametrize("direct", [True, False])
async def test_first_messages_to_new_chats_are_counted_over_a_restart(tmp_path: Path, direct: bool):
    async with world(tmp_path / "db", linked=True, limits=FEW) as at:
        await connected(at)
        for number in OTHERS[:2]:
            assert (await end(at, await say(at, "hello", number))).state is MessageState.SENT
        assert (await end(at, await say(at, "again", OTHERS[0]))).state is MessageState.SENT
        if not direct:
            await at.core.bots.get("bot").disconnect()
        third = await say(at, "hello", OTHERS[2])
        if not direct:
            await at.core.bots.get("bot").connect()
        told = await waiting(at, third)
        assert (told["state"], told["code"]) == ("queued", "new-chats")
        assert "2 new chats" in told["reason"]
        assert datetime.fromisoformat(told["retry_at"]) > datetime.now(UTC)
        status = await at.core.outbox.pacing("bot")
        assert (status.new_chats_today, status.new_chats_limit) == (2, 2)
    async with world(tmp_path / "db", linked=True, limits=FEW) as at:
        fourth = await say(at, "hello", OTHERS[3])
        assert (await waiting(at, fourth))["code"] == "new-chats"
        await at.tell("bot", text("IN", chat=Party("8000000000003@lid", OTHERS[3], "8000000000003@lid")))
        assert (await end(at, fourth)).state is MessageState.SENT, "it has written, so it is no stranger"
        await at.core.outbox.set_pacing("bot", {"new_chats_per_day": 3})
        assert (await end(at, third)).state is MessageState.SENT, "it waited since before the restart"
        assert (await waiting(at, await say(at, "hello", OTHERS[5])))["code"] == "new-chats", "that was the third one"


async def test_a_new_number_warms_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rules, "WARM_UP_FIRST", 1)
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, pacing=PacingOptions())) as at:
        await connected(at)
        assert (await at.core.outbox.pacing("bot")).new_chats_limit is None, "nobody knows when it was linked"
        await at.database.write(lambda unit: at.core.outbox.linked(unit, at.core.bots.get("bot").current.bot))
        assert (await end(at, await say(at, "hello", OTHERS[0]))).state is MessageState.SENT
        assert (await waiting(at, await say(at, "hello", OTHERS[1])))["code"] == "new-chats"
        group = await at.core.outbox.submit("bot", "120363000000000001@g.us", (await say(at, "x", OTHERS[0])).content)
        assert (await end(at, group)).state is MessageState.SENT


async def test_quiet_hours_hold_all_but_answers(tmp_path: Path):
    now = datetime.now(UTC)
    begin, finish = (now + timedelta(hours=hours) for hours in (-1, 1))
    hours = f"{begin:%H:%M}-{finish:%H:%M}"
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.core.outbox.set_pacing("bot", {"quiet_hours": hours})
        message = await say(at, "hello", OTHERS[0])
        assert (await waiting(at, message))["code"] == "quiet-hours"
        await at.tell("bot", text("IN"))
        assert (await end(at, await say(at, "an answer", PHONE))).state is MessageState.SENT
        status = await at.core.outbox.set_pacing("bot", {})
        assert (status.options, status.quiet_until) == (QUICK.pacing, None)
        assert (await end(at, message)).state is MessageState.SENT, "other rules count at once"


async def test_so_many_messages_a_minute_after_a_burst(tmp_path: Path):
    async with world(
        tmp_path / "db", linked=True, limits=replace(QUICK, pacing=PacingOptions(messages_per_minute=2))
    ) as at:
        await connected(at)
        sent = [await say(at, f"{number}", OTHERS[number]) for number in range(rules.BURST)]
        assert {(await end(at, one)).state for one in sent} == {MessageState.SENT}
        late = await say(at, "late", OTHERS[11])
        assert (await waiting(at, late))["code"] == "rate"
        assert (await at.core.outbox.pacing("bot")).next_at is not None
        await at.tell("bot", text("IN"))
        assert (await end(at, await say(at, "an answer"))).state is MessageState.SENT
        await at.core.outbox.set_pacing("bot", {"messages_per_minute": 1})
        more = [await say(at, f"{number}", OTHERS[number]) for number in range(rules.BURST)]
        later = await at.core.outbox.get("bot", more[-1].id)
        assert (await end(at, late)).state is MessageState.SENT, "the burst of the new rule"
        assert (later.state, (await waiting(at, more[-1]))["code"]) == (MessageState.QUEUED, "rate")
        await at.core.outbox.set_pacing("bot", {"messages_per_minute": 0})
        assert (await end(at, more[-1])).state is MessageState.SENT


async def test_wrong_rules_change_nothing(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        with pytest.raises(InvalidInput):
            await at.core.outbox.set_pacing("bot", {"time_zone": "Mars/One", "new_chats_per_day": 5})
        assert (await at.core.outbox.pacing("bot")).options == QUICK.pacing
        with pytest.raises(NotFound):
            await at.core.outbox.pacing("nobody")
