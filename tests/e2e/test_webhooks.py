"""Webhooks of the real daemon: a receiver that is away over a kill -9, replies that reach a phone, and the guard."""

from __future__ import annotations

from pathlib import Path

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox


async def test_a_receiver_that_was_away_gets_all_in_order_and_its_answers_reach_the_phone(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    async with Receiver() as there:
        port, url = there.port, there.url
    body = {"url": url, "events": ["message.received"], "reply": True, "headers": {"X-Key": "k"}, "ed25519": True}
    hook = await daemon.call("POST", "/v1/webhooks", body)
    path = f"/v1/webhooks/{hook['id']}"
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    async with daemon.events("message.received") as events:
        for number in range(5):
            await contact.send(BOT_NUMBER, f"question {number}")
            await events.next()
    tried = await daemon.call("POST", f"{path}/test")
    assert (tried["delivered"], tried["error"]) == (False, "cannot be reached: Connection refused")
    await daemon.kill()
    async with Receiver(port) as receiver:
        receiver.reply = lambda event: {"reply": {"text": event["data"]["text"].replace("question", "answer")}}
        await daemon.start()
        got = [await receiver.next() for _ in range(5)]
        assert [one.verified(hook["secret"])["data"]["text"] for one in got] == [f"question {n}" for n in range(5)]
        assert all(one.headers["X-Key"] == "k" and "v1a," in one.headers["webhook-signature"] for one in got)
        for number in range(5):
            await arrived(contact, f"answer {number}")
        await daemon.stop()  # what was delivered is recorded
        await daemon.start()
        [last, *_] = (await daemon.call("GET", f"{path}/deliveries"))["deliveries"]
        assert last["reply"]["message"].startswith("msg_")
        assert (last["state"], last["chat"]) == ("delivered", f"+{CONTACT_NUMBER}")
        first = got[0].json()["id"]
        assert (await daemon.call("POST", f"{path}/replay", {"event": first}))["queued"] == 1
        assert (await receiver.next()).headers["webhook-id"] == first
        seen = await daemon.call("GET", f"{path}/deliveries/{first}")
        assert {one["status"] for one in seen["attempts"]} == {200}, "those that reached nobody are not its own"
        assert seen["body"] == got[0].json()
    assert "question" not in daemon.log
    assert CONTACT_NUMBER not in daemon.log


async def test_by_default_nothing_inside_is_reached(tmp_path: Path, sandbox: Sandbox, receiver: Receiver) -> None:
    async with Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_WEBHOOK_ALLOW_NETWORKS="") as daemon:
        status, problem = await daemon.ask("POST", "/v1/webhooks", {"url": receiver.url})
        assert (status, problem["field"]) == (422, "url")
        assert "ZAPWIRE_WEBHOOK_ALLOW_NETWORKS" in problem["detail"]
        assert receiver.deliveries.empty()
