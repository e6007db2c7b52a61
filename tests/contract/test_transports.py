"""What `transport/protocol.py` promises, held against every transport: the core relies on nothing else.

The core's tests use the scripted transport, so whatever it does kinder than the engine they cannot see.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.contract.conftest import World
from tests.transport.driven import Ended, Failed

OTHER = {"phone": "+4915199999990", "lid": "99999999999@lid"}


async def test_what_it_announces_it_implements(world: World):
    powers = await world.bot("powers")
    for power, announced in powers["announced"].items():
        assert powers["implemented"][power] or not announced, power
    assert powers["auth_state"] or not powers["pairing"], "what pairs keeps what it was paired with"


async def test_it_pairs_connects_and_stops_and_does_not_pair_again(world: World):
    await world.pair()
    for _ in range(2):
        await world.bot("stop")
        await world.bot("start")
        assert (await world.bot.next())["event"] == "Connected"


async def test_the_account_is_told_with_the_connection(world: World):
    await world.bot("start")
    await world.network.scan((await world.bot.until("QrCode"))["code"])
    assert (await world.bot.until("Paired"))["identity"]["phone"] == f"+{world.network.number}"
    identity = (await world.bot.until("Connected"))["identity"]
    assert identity["phone"] == f"+{world.network.number}"
    assert identity["lid"].endswith("@lid")


async def test_stopped_while_it_pairs_it_pairs_from_the_beginning(world: World):
    for _ in range(2):
        await world.bot("start")
        assert (await world.bot.until("QrCode"))["attempt"] == 1
        await world.bot("stop")
    assert not await world.bot("keeps")
    await world.pair()


@pytest.mark.parametrize("moment", [0.0, 0.05])
async def test_it_can_be_stopped_at_any_moment_and_started_at_once(world: World, moment: float):
    await world.pair()
    for _ in range(3):
        await world.bot("stop")
        await world.bot("start")
        await asyncio.sleep(moment)
    await world.bot.until("Connected")


async def test_without_a_connection_nothing_is_sent(world: World):
    with pytest.raises(Failed) as refused:
        await world.bot("send", to="4915510000002@s.whatsapp.net", text="hi")
    assert refused.value.kind == "NotConnected"
    await world.pair()
    assert (await world.bot("send", to="4915510000002@s.whatsapp.net", text="hi"))["whatsapp_id"]
    await world.bot("stop")
    with pytest.raises(Failed) as refused:
        await world.bot("send", to="4915510000002@s.whatsapp.net", text="hi")
    assert refused.value.kind == "NotConnected"


async def test_messages_come_in_the_order_in_which_they_were_sent(world: World):
    await world.pair()
    for number in range(5):
        await world.network.say(f"message {number}")
    got = [(await world.bot.until("Received"))["message"]["content"]["text"] for _ in range(5)]
    assert got == [f"message {number}" for number in range(5)]


async def test_a_send_that_is_not_answered_does_not_keep_it_from_stopping(world: World):
    await world.pair()
    await world.network.mute()
    sending = asyncio.create_task(world.bot("send", to="4915510000002@s.whatsapp.net", text="hi"))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await world.bot("stop")
    sending.cancel()


async def test_without_a_way_it_says_so_and_comes_back_later(world: World):
    await world.pair()
    await world.bot("stop")
    await world.network.close()
    await world.bot("start")
    end = await world.bot.ending()
    assert end.kind in {"TransportError", "Unreachable"}
    await world.network.open()
    async with asyncio.timeout(30):
        connected = False
        while not connected:  # what it knows of the way may be some seconds old
            await world.bot("start")
            with suppress(Ended):
                connected = bool(await world.bot.until("Connected"))


async def test_a_logout_over_the_connection_ends_it_and_leaves_nothing(world: World):
    await world.pair()
    assert await world.bot("keeps")
    await world.bot("logout")
    assert (await world.bot.ending()).kind == "LoggedOut"
    assert not await world.bot("keeps")
    await world.bot("start")
    assert (await world.bot.until("QrCode"))["attempt"] == 1


@pytest.mark.parametrize("trouble", ["stopped", "mute"])
async def test_a_logout_that_whatsapp_does_not_hear_of_is_refused_and_destroys_nothing(world: World, trouble: str):
    await world.pair()
    if trouble == "mute":
        await world.network.mute()
    else:
        await world.bot("stop")
    with pytest.raises(Failed) as refused:
        await world.bot("logout")
    assert refused.value.kind == "TransportError"
    assert await world.bot("keeps")
    if trouble == "stopped":
        await world.bot("start")
        await world.bot.until("Connected")
        await world.bot("logout")  # it may be retried
        assert not await world.bot("keeps")


async def test_a_logout_of_nobody_is_no_error(world: World):
    await world.bot("logout")
    await world.bot("start")
    await world.bot.until("QrCode")
    await world.bot("logout")


async def test_what_belongs_to_another_account_is_neither_run_nor_destroyed(world: World):
    await world.pair()
    await world.bot("stop")
    await world.bot("account", **OTHER)
    await world.bot("start")
    end = await world.bot.ending()
    assert (end.kind, end.condition) == ("Blocked", "auth-foreign")
    with pytest.raises(Failed) as refused:
        await world.bot("logout")
    assert refused.value.kind == "Blocked"
    assert await world.bot("keeps")
    await world.bot("account", phone=f"+{world.network.number}", lid=None)
    await world.bot("start")
    await world.bot.until("Connected")


async def test_a_copy_is_taken_elsewhere_and_never_over_what_is_there(world: World):
    await world.pair()
    await world.bot("stop")
    assert await world.bot("copy")
    with pytest.raises(Failed) as refused:
        await world.bot("adopt")
    assert refused.value.kind == "Conflict"
    await world.bot("forget")
    assert not await world.bot("keeps")
    await world.bot("adopt")
    assert await world.bot("keeps")
    await world.bot("start")
    assert (await world.bot.next())["event"] == "Connected"


async def test_forgetting_twice_is_no_error(world: World):
    await world.pair()
    await world.bot("stop")
    for _ in range(2):
        await world.bot("forget")
    await world.bot("start")
    await world.bot.until("QrCode")
