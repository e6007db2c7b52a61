"""Messages out over the API."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api
from zapwire.model.errors import StoreError

PHONE = "+4915100000002"


async def test_a_message_is_taken_and_sent(api: Api) -> None:
    transport = await api.connected("shop")
    status, message = await api.ask(
        "POST", "/v1/bots/shop/messages?wait=5", {"to": PHONE, "type": "text", "text": "hi"}
    )
    assert (status, message["state"], message["text"]) == (202, "sent", "hi")
    assert message["to"]["phone"] == PHONE
    assert [one.content.as_json() for one in transport.sent] == [{"text": "hi"}]
    path = f"/v1/bots/shop/messages/{message['id']}"
    await transport.read(message["whatsapp_id"])
    assert (await api.call("GET", path))["state"] == "read"


async def test_without_wait_the_answer_comes_at_once(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    status, headers, _ = await api.raw("POST", "/v1/bots/shop/messages", json={"to": PHONE, "text": "hi"})
    assert status == 202
    assert (await api.call("GET", headers["Location"]))["state"] == "queued"


async def test_a_refused_message_fails_with_the_reason(api: Api) -> None:
    await api.connected("shop")
    message = await api.call("POST", "/v1/bots/shop/messages?wait=5", {"to": "+4915199999999", "text": "anyone?"})
    assert message["state"] == "failed"
    assert "not on WhatsApp" in message["reason"]


async def test_a_message_of_another_bot_is_not_shown(api: Api) -> None:
    for bot in ("shop", "other"):
        await api.call("POST", "/v1/bots", {"id": bot, "autostart": False})
    message = await api.call("POST", "/v1/bots/shop/messages", {"to": PHONE, "text": "hi"})
    assert (await api.ask("GET", f"/v1/bots/other/messages/{message['id']}"))[0] == 404


async def test_a_wait_that_fails_does_not_ask_for_the_message_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})

    async def fail(*_: object) -> None:
        raise StoreError("cannot read the database")

    monkeypatch.setattr(api.core.outbox, "wait", fail)
    status, message = await api.ask("POST", "/v1/bots/shop/messages?wait=5", {"to": PHONE, "text": "hi"})
    assert (status, message["state"]) == (202, "queued")
