"""Webhook endpoints over the API; their delivery is tested with the core."""

from __future__ import annotations

from tests.api.conftest import Api
from zapwire.api import webhook_schemas as schemas

URL = "http://127.0.0.1:9/hook"


async def test_the_secret_is_shown_once(api: Api) -> None:
    status, made = await api.ask("POST", "/v1/webhooks", {"url": URL, "events": ["*"]})
    assert status == 201
    assert schemas.CreatedWebhook.model_validate(made).secret.startswith("whsec_")
    for seen in (
        await api.call("GET", f"/v1/webhooks/{made['id']}"),
        *(await api.call("GET", "/v1/webhooks"))["webhooks"],
    ):
        assert schemas.Webhook.model_validate(seen).id == made["id"]
        assert "secret" not in seen


async def test_only_what_is_named_changes(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    made = await api.call("POST", "/v1/webhooks", {"url": URL, "events": ["message.received"], "bots": ["shop"]})
    path = f"/v1/webhooks/{made['id']}"
    changed = await api.call("PATCH", path, {"enabled": False})
    assert (changed["enabled"], changed["events"], changed["bots"]) == (False, ["message.received"], ["shop"])
    changed = await api.call("PATCH", path, {"bots": None, "events": ["bot.state", "bot.qr"]})
    assert (changed["enabled"], changed["bots"], set(changed["events"])) == (False, None, {"bot.state", "bot.qr"})


async def test_a_deleted_one_is_gone(api: Api) -> None:
    made = await api.call("POST", "/v1/webhooks", {"url": URL})
    assert await api.ask("DELETE", f"/v1/webhooks/{made['id']}") == (204, None)
    assert (await api.ask("GET", f"/v1/webhooks/{made['id']}"))[0] == 404
