"""The main job: pair, receive, answer, see the receipts, get the webhook."""

from __future__ import annotations

import re

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox


async def test_a_bot_pairs_by_qr_and_says_who_it_is(daemon: Daemon, sandbox: Sandbox) -> None:
    phone = await sandbox.phone(BOT_NUMBER, "Corner Shop")
    await daemon.add_bot("shop")
    await phone.scan(await daemon.qr("shop"))
    bot = await daemon.until_state("shop", "connected")
    assert bot["phone"] == f"+{BOT_NUMBER}"
    assert bot["lid"].endswith("@lid")
    assert bot["action"] is None


async def test_a_bot_pairs_by_code(daemon: Daemon, sandbox: Sandbox) -> None:
    phone = await sandbox.phone(BOT_NUMBER)
    await daemon.add_bot("shop")
    await daemon.qr("shop")
    code = (await daemon.call("POST", "/v1/bots/shop/pairing-code", {"phone": f"+{BOT_NUMBER}"}))["code"]
    assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}", code)
    await phone.enter_code(code)
    assert (await daemon.until_state("shop", "connected"))["phone"] == f"+{BOT_NUMBER}"
    assert code.replace("-", "") not in daemon.log.replace("-", "")


async def test_texts_go_both_ways_with_receipts_up_to_read(daemon: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
    async with daemon.events("message.received", "message.status") as events:
        await contact.send(BOT_NUMBER, "are you open?")
        received = (await events.until(lambda e: e["type"] == "message.received"))["data"]
        assert received["content"] == {"text": "are you open?"}
        assert received["type"] == "text"
        assert received["from_me"] is False
        assert received["sender"]["phone"] == f"+{CONTACT_NUMBER}"
        assert received["sender"]["lid"].endswith("@lid")
        assert received["chat"]["jid"] == received["sender"]["jid"]

        answer = await daemon.send("shop", f"+{CONTACT_NUMBER}", "until six", wait=10)
        assert answer["state"] in {"sent", "delivered"}
        assert (await arrived(contact, "until six"))["from"] == BOT_NUMBER
        await events.until(lambda e: e["type"] == "message.status" and e["data"]["state"] == "delivered")
        await contact.read()
        await events.until(lambda e: e["type"] == "message.status" and e["data"]["state"] == "read")
    states = [
        e["data"]["state"] for e in events.seen if e["type"] == "message.status" and e["data"]["id"] == answer["id"]
    ]
    order = ["queued", "sending", "sent", "delivered", "read"]
    assert states == sorted(states, key=order.index)
    assert {"sent", "delivered", "read"} <= set(states)


async def test_a_reply_to_a_hidden_identity_arrives(daemon: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    async with daemon.events("message.received") as events:
        await contact.send(BOT_NUMBER, "hello")
        chat = (await events.next())["data"]["chat"]
    assert chat["jid"].endswith("@lid")
    await daemon.send("shop", chat["jid"], "hello yourself", wait=10)
    await arrived(contact, "hello yourself")


async def test_a_webhook_is_delivered_and_its_signature_holds(
    daemon: Daemon, sandbox: Sandbox, receiver: Receiver
) -> None:
    hook = await daemon.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    await contact.send(BOT_NUMBER, "by webhook, please")
    event = (await receiver.next()).verified(hook["secret"])
    assert event["type"] == "message.received"
    assert event["bot"] == "shop"
    assert event["data"]["content"] == {"text": "by webhook, please"}


async def test_sending_to_a_number_that_is_not_on_whatsapp_fails_with_that_reason(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    await linked_bot(daemon, sandbox)
    answer = await daemon.send("shop", "+4915199999999", "anyone there?", wait=10)
    assert answer["state"] == "failed"
    message = await daemon.call("GET", f"/v1/bots/shop/messages/{answer['id']}")
    assert "not on WhatsApp" in message["reason"]


async def test_the_same_idempotency_key_sends_once(daemon: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    body = {"to": f"+{CONTACT_NUMBER}", "type": "text", "text": "only once"}
    assert daemon._http is not None
    ids = set()
    for _ in range(3):
        async with daemon._http.post(
            "/v1/bots/shop/messages?wait=10", json=body, headers={"Idempotency-Key": "k1"}
        ) as answer:
            assert answer.status == 202
            ids.add((await answer.json())["id"])
    assert len(ids) == 1
    await daemon.send("shop", CONTACT_NUMBER, "the end", wait=10)
    await arrived(contact, "the end")
    texts = [m.get("text") for m in (await contact.call("GET", "/inbox", after=0, wait=0))["messages"]]
    assert texts.count("only once") == 1


async def test_secrets_stay_out_of_the_log(daemon: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    async with daemon.events("message.received") as events:
        await contact.send(BOT_NUMBER, "my secret body")
        await events.next()
    await daemon.send("shop", CONTACT_NUMBER, "their secret body", wait=10)
    for secret in ("secret body", BOT_NUMBER, CONTACT_NUMBER, daemon.token):
        assert secret not in daemon.log
        assert not any(secret in line for line in daemon.program.output)
