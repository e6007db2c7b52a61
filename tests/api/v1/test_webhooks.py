"""Webhook endpoints and their deliveries over the API; the rules of delivery are tested with the core."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.api.conftest import Api
from tests.core.receiver import receiver
from tests.core.scripted import eventually
from zapwire.api.v1.schemas import webhooks as schemas

URL = "http://127.0.0.1:9/hook"


async def made(api: Api, **fields: Any) -> tuple[str, Any]:
    webhook = await api.call("POST", "/v1/webhooks", {"url": URL, **fields})
    return f"/v1/webhooks/{webhook['id']}", webhook


async def refused(api: Api, method: str, path: str, body: Any, status: int = 422) -> str | None:
    """The field that a refused call names."""
    got, problem = await api.ask(method, path, body)
    assert (got, problem["code"]) == (status, {422: "invalid-input", 404: "not-found"}[status]), problem
    return problem.get("field")


async def test_the_secret_and_the_headers_are_shown_once(api: Api) -> None:
    path, webhook = await made(api, headers={"Authorization": "Bearer s3cret"}, ed25519=True)
    assert schemas.CreatedWebhook.model_validate(webhook).secret.startswith("whsec_")
    for seen in (webhook, await api.call("GET", path), *(await api.call("GET", "/v1/webhooks"))["webhooks"]):
        assert "s3cret" not in str(seen)
        assert (seen["header_names"], seen["public_key"]) == (["Authorization"], webhook["public_key"])
        if seen is not webhook:
            assert schemas.Webhook.model_validate(seen).id == webhook["id"]
            assert "secret" not in seen
    assert len(base64.b64decode(webhook["public_key"].removeprefix("whpk_"))) == 32


async def test_only_what_is_named_changes(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    path, _ = await made(api, events=["message.received"], bots=["shop"], concurrency=3, description="crm", reply=True)
    changed = await api.call("PATCH", path, {"enabled": False})
    assert (changed["enabled"], changed["events"], changed["bots"]) == (False, ["message.received"], ["shop"])
    assert (changed["concurrency"], changed["description"], changed["reply"]) == (3, "crm", True)
    assert changed["disabled_reason"] == "switched off by hand"
    changed = await api.call("PATCH", path, {"bots": None, "events": ["bot.state", "bot.qr"], "headers": {"X-A": "b"}})
    assert (changed["enabled"], changed["bots"], set(changed["events"])) == (False, None, {"bot.state", "bot.qr"})
    assert (await api.call("PATCH", path, {"ed25519": True, "headers": {}}))["public_key"].startswith("whpk_")
    last = await api.call("PATCH", path, {"ed25519": False, "enabled": True})
    assert (last["public_key"], last["header_names"], last["disabled_reason"]) == (None, [], None)


async def test_the_time_limit_and_the_attempts_at_4xx_are_fields(api: Api) -> None:
    path, webhook = await made(api)
    assert (webhook["timeout"], webhook["client_error_attempts"]) == (15, 3)
    changed = await api.call("PATCH", path, {"timeout": 2.5, "client_error_attempts": 10})
    assert (changed["timeout"], changed["client_error_attempts"]) == (2.5, 10)
    assert await api.call("GET", path) == changed
    wrongs = (("timeout", 0.5), ("timeout", 60.5), ("client_error_attempts", 1), ("client_error_attempts", 11))
    for field, wrong in (*wrongs, ("timeout", "x"), ("client_error_attempts", 2.5)):
        assert await refused(api, "PATCH", path, {field: wrong}) == field
        assert await refused(api, "POST", "/v1/webhooks", {"url": URL, field: wrong}) == field


async def test_one_that_is_unreachable_says_since_when_and_when_it_is_tried_again(api: Api) -> None:
    path, webhook = await made(api, events=["bot.*"])
    assert (webhook["unreachable_since"], webhook["next_attempt_at"]) == (None, None)
    await api.call("POST", "/v1/bots", {"id": "shop"})

    async def unreachable() -> bool:
        found = await api.call("GET", path)
        return found["unreachable_since"] is not None and found["next_attempt_at"] > found["unreachable_since"]

    await eventually(unreachable)
    assert (await api.call("GET", "/v1/stats"))["webhooks"]["states"]["unreachable"] == 1


async def test_a_deleted_one_is_gone(api: Api) -> None:
    path, _ = await made(api)
    assert await api.ask("DELETE", path) == (204, None)
    for method, call in (
        ("GET", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("GET", "/deliveries/evt_1"),
    ):
        assert await refused(api, method, path + call, None, 404) == "webhook"
    assert await refused(api, "POST", f"{path}/rotate-secret", {}, 404) == "webhook"
    assert await refused(api, "POST", f"{path}/replay", {"dead": True}, 404) == "webhook"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://192.168.1.1/"}, "url"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "url"),
        ({"events": ["nonsense"]}, "events"),
        ({"headers": {"webhook-id": "x"}}, "headers"),
        ({"headers": {"x": 5}}, "headers.x"),
        ({"concurrency": 65}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"secret": "whsec_AAAA"}, "secret"),
        ({"ed25519": "yes"}, "ed25519"),
        ({"pause": True}, "pause"),
    ],
)
async def test_bad_fields_are_named(api: Api, fields: dict[str, Any], field: str) -> None:
    assert await refused(api, "POST", "/v1/webhooks", {"url": URL, **fields}) == field


async def test_a_refused_address_names_the_setting(api: Api) -> None:
    _, problem = await api.ask("POST", "/v1/webhooks", {"url": "http://10.0.0.1/hook"})
    assert "ZAPWIRE_WEBHOOK_ALLOW_NETWORKS" in problem["detail"]


async def test_rotation_shows_a_new_secret_and_takes_an_own_one(api: Api) -> None:
    path, webhook = await made(api)
    rotated = await api.call("POST", f"{path}/rotate-secret", {})
    assert schemas.CreatedWebhook.model_validate(rotated).secret != webhook["secret"]
    own = "whsec_" + base64.b64encode(bytes(40)).decode()
    assert (await api.call("POST", f"{path}/rotate-secret", {"secret": own, "grace": 0}))["secret"] == own
    assert await refused(api, "POST", f"{path}/rotate-secret", {"grace": 700_000}) == "grace"


async def test_pause_and_resume(api: Api) -> None:
    path, _ = await made(api)
    assert (await api.call("POST", f"{path}/pause"))["paused"] is True
    assert (await api.call("POST", f"{path}/pause"))["enabled"] is True
    assert (await api.call("POST", f"{path}/resume"))["paused"] is False


async def test_a_message_is_delivered_looked_at_and_replayed(api: Api) -> None:
    shop = await api.connected("shop")
    async with receiver() as hook:
        path, webhook = await made(api, url=hook.url, events=["message.received"])
        tried = schemas.WebhookTest.model_validate(await api.call("POST", f"{path}/test"))
        assert (tried.delivered, tried.status, tried.error, tried.response) == (True, 200, None, None)
        assert hook.got[0]["id"] == tried.event
        await shop.receive("hello")
        await hook.until(lambda: len(hook.taken) == 2)
        assert Webhook(webhook["secret"]).verify(hook.raw[1], hook.headers[1]) == hook.got[1]

        async def delivered() -> bool:  # the receiver has it a moment before we know
            page = await api.call("GET", f"{path}/deliveries?limit=1")
            return [one["state"] for one in page["deliveries"]] == ["delivered"]

        await eventually(delivered)
        page = await api.call("GET", f"{path}/deliveries?chat=%2B4915100000002&state=delivered&limit=1")
        [one] = schemas.DeliveryPage.model_validate(page).deliveries
        assert (one.event, one.chat, one.attempts[0].status) == (hook.got[1]["id"], "+4915100000002", 200)
        seen = await api.call("GET", f"{path}/deliveries/{one.event}")
        assert schemas.DeliveryWithEvent.model_validate(seen).event == one.event
        assert seen["body"] == hook.got[1]
        for count, body in enumerate(
            (
                {"event": one.event},
                {"chat": "4915100000002@s.whatsapp.net"},
                {"from": "2026-01-01T00:00:00Z", "to": "2100-01-01T00:00:00+01:00", "after": 0},
            ),
            start=3,
        ):
            status, queued = await api.ask("POST", f"{path}/replay", body)
            assert (status, schemas.Replayed.model_validate(queued).queued) == (202, 1), body
            await hook.until(lambda wanted=count: len(hook.taken) == wanted)
            await eventually(delivered)
        assert hook.got[1] == hook.got[2] == hook.got[4]
        assert (await api.call("POST", f"{path}/replay", {"dead": True}))["queued"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "event"),
        ({"after": 3}, "event"),
        ({"event": None}, "event"),
        ({"event": "evt_1", "dead": True}, "event"),
        ({"event": "evt_1", "after": 1}, "event"),
        ({"dead": False}, "dead"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"chat": "somebody"}, "chat"),
        ({"all": True}, "all"),
    ],
)
async def test_a_replay_of_nothing_in_particular_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    path, _ = await made(api)
    assert await refused(api, "POST", f"{path}/replay", body) == field


@pytest.mark.parametrize(
    ("query", "field"),
    [("state=x", "state"), ("chat=x", "chat"), ("limit=0", "limit"), ("after=-1", "after"), ("before=1", "before")],
)
async def test_bad_filters_are_named(api: Api, query: str, field: str) -> None:
    path, _ = await made(api)
    assert await refused(api, "GET", f"{path}/deliveries?{query}", None) == field
    assert await refused(api, "GET", f"{path}/deliveries/evt_none", None, 404) == "event"


async def test_a_secret_is_in_no_line_of_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async with receiver() as hook:
        hook.answer = lambda body: 410
        url = f"{hook.url}?key=s3cret"
        path, webhook = await made(api, url=url, headers={"X-Key": "s3cret"}, events=["bot.state"])
        await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
        await api.call("PATCH", "/v1/bots/shop", {"name": "Shop"})

        async def over() -> bool:
            # the line comes after the commit
            return not (await api.call("GET", path))["enabled"] and "disabled" in caplog.text

        await eventually(over)
        assert not any(word in caplog.text for word in ("s3cret", webhook["secret"], hook.url))
