"""What survives: restarts, kill -9, a server that goes away or stops answering, a logout, ten bots at once."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restart_needs_no_qr_and_delivers_what_waited(daemon: Daemon, sandbox: Sandbox, how: str) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    code = await getattr(daemon, how)()
    assert code == (0 if how == "stop" else -signal.SIGKILL)
    for number in range(5):
        await contact.send(BOT_NUMBER, f"while you were out {number}")
    await daemon.start()
    await daemon.until_state("shop", "connected")
    async with daemon.events("message.received", after=0) as events:
        texts = [(await events.next())["data"]["content"]["text"] for _ in range(5)]
    assert texts == [f"while you were out {number}" for number in range(5)]
    await daemon.send("shop", CONTACT_NUMBER, "back again", wait=10)
    await arrived(contact, "back again")


async def test_a_stopped_bot_stays_stopped_over_a_restart_when_it_does_not_autostart(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    await linked_bot(daemon, sandbox)
    await daemon.call("PATCH", "/v1/bots/shop", {"autostart": False})
    await daemon.call("POST", "/v1/bots/shop/disconnect")
    await daemon.until_state("shop", "stopped")
    await daemon.stop()
    await daemon.start()
    assert (await daemon.call("GET", "/v1/bots/shop"))["state"] == "stopped"
    await daemon.call("POST", "/v1/bots/shop/connect")
    await daemon.until_state("shop", "connected")


async def test_logout_from_the_phone_is_told_and_pairing_starts_over(daemon: Daemon, sandbox: Sandbox) -> None:
    phone = await linked_bot(daemon, sandbox)
    await phone.call("DELETE", "/devices/1")
    bot = await daemon.until_state("shop", "logged_out")
    assert bot["action"]
    status, problem = await daemon.ask("GET", "/v1/bots/shop/qr")
    assert status == 409
    assert "logged out" in problem["detail"]
    await daemon.call("POST", "/v1/bots/shop/connect")
    await phone.scan(await daemon.qr("shop"))
    await daemon.until_state("shop", "connected")


async def test_logout_by_api_unlinks_the_device_at_the_phone(daemon: Daemon, sandbox: Sandbox) -> None:
    phone = await linked_bot(daemon, sandbox)
    await daemon.call("POST", "/v1/bots/shop/logout")
    await daemon.until_state("shop", "logged_out")
    phones = await sandbox.call("GET", "/phones")
    devices = next(p["devices"] for p in phones["phones"] if p["phone"] == phone.number)
    assert [d for d in devices if d != 0] == []


async def test_a_logout_of_a_stopped_bot_unlinks_it_and_fails_what_waited_also_after_a_kill(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    phone = await linked_bot(daemon, sandbox)
    await daemon.call("POST", "/v1/bots/shop/disconnect")
    await daemon.until_state("shop", "stopped")
    waiting = await daemon.send("shop", CONTACT_NUMBER, "too late")
    assert waiting["state"] == "queued"
    await daemon.call("POST", "/v1/bots/shop/logout")
    await daemon.kill()
    await daemon.start()
    bot = await daemon.until_state("shop", "logged_out")
    assert (bot["phone"], bot["reason"]) == (None, "logged out on request")
    phones = await sandbox.call("GET", "/phones")
    devices = next(p["devices"] for p in phones["phones"] if p["phone"] == phone.number)
    assert [d for d in devices if d != 0] == []
    message = await daemon.call("GET", f"/v1/bots/shop/messages/{waiting['id']}", wait="20")  # they fail bit by bit
    assert (message["state"], message["reason"]) == ("failed", "the bot was logged out before it was sent")
    page = await daemon.call("GET", "/v1/events?types=message.received")
    assert page["events"] == [], "what the phone tells its devices is no message"


async def test_ten_bots_pair_chat_and_restart_together(daemon: Daemon, sandbox: Sandbox) -> None:
    numbers = {f"bot-{n}": f"49151000001{n:02}" for n in range(10)}
    contact = await sandbox.phone(CONTACT_NUMBER)
    await asyncio.gather(*(linked_bot(daemon, sandbox, bot, number) for bot, number in numbers.items()))
    await _everyone_chats(daemon, numbers, contact, "first")
    await daemon.stop()
    await daemon.start()
    await asyncio.gather(*(daemon.until_state(bot, "connected") for bot in numbers))
    await _everyone_chats(daemon, numbers, contact, "second")


async def _everyone_chats(daemon: Daemon, numbers: dict[str, str], contact: object, word: str) -> None:
    async with daemon.events("message.received") as events:
        await asyncio.gather(*(contact.send(number, f"{word} to {bot}") for bot, number in numbers.items()))
        wanted = {(bot, f"{word} to {bot}") for bot in numbers}
        while wanted:
            event = await events.next()
            wanted.discard((event["bot"], event["data"]["content"]["text"]))
    answers = await asyncio.gather(
        *(daemon.send(bot, CONTACT_NUMBER, f"{word} from {bot}", wait=20) for bot in numbers)
    )
    assert {a["state"] for a in answers} <= {"sent", "delivered"}
    await asyncio.gather(*(arrived(contact, f"{word} from {bot}") for bot in numbers))


async def test_a_server_restart_is_survived(daemon: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    await sandbox.stop()
    bot = await daemon.until_state("shop", "reconnecting")
    assert bot["reason"]
    await sandbox.start()
    await daemon.until_state("shop", "connected")
    await daemon.send("shop", CONTACT_NUMBER, "survived", wait=20)
    await arrived(contact, "survived")


@pytest.mark.timeout(240)
async def test_a_frozen_server_is_noticed_and_a_waiting_message_arrives_after_the_thaw(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    os.kill(sandbox.pid, signal.SIGSTOP)
    try:
        answer = await daemon.send("shop", CONTACT_NUMBER, "into the ice")
        # the engine asks every 20 to 30 s whether the server is there, and waits 10 s for the answer
        await daemon.until_state("shop", "reconnecting", within=100)
    finally:
        os.kill(sandbox.pid, signal.SIGCONT)
    await daemon.until_state("shop", "connected")
    message = await daemon.call("GET", f"/v1/bots/shop/messages/{answer['id']}")
    if message["state"] not in {"unknown", "failed"}:
        await arrived(contact, "into the ice", 60)


async def test_without_a_network_the_bot_says_so_and_when_it_tries_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("alone")
    async with Daemon(folder, HTTPS_PROXY="http://127.0.0.1:9") as daemon:
        await daemon.add_bot("shop")
        bot = await daemon.until_state("shop", "reconnecting")
        assert "cannot be reached" in bot["reason"]
        assert bot["next_attempt_at"]
        assert (await daemon.ask("GET", "/livez"))[0] == 200
