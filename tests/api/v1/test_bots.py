"""Bots over the API."""

from __future__ import annotations

from tests.api.conftest import Api
from tests.core.scripted import eventually
from zapwire.api.v1.schemas.bots import Bot, BotList
from zapwire.api.v1.schemas.journal import EventPage
from zapwire.api.v1.schemas.messages import OutgoingMessage, ReceivedMessage


async def test_a_bot_is_created_seen_changed_and_deleted(api: Api) -> None:
    status, headers, _ = await api.raw("POST", "/v1/bots", json={"id": "shop", "name": "The shop", "autostart": False})
    assert (status, headers["Location"]) == (201, "/v1/bots/shop")
    bot = await api.call("GET", "/v1/bots/shop")
    assert (bot["name"], bot["state"], bot["autostart"]) == ("The shop", "stopped", False)
    assert (await api.call("PATCH", "/v1/bots/shop", {"name": "Corner"}))["name"] == "Corner"
    assert [one["id"] for one in (await api.call("GET", "/v1/bots"))["bots"]] == ["shop"]
    assert (await api.ask("DELETE", "/v1/bots/shop")) == (204, None)
    assert (await api.ask("GET", "/v1/bots/shop"))[0] == 404


async def test_an_id_is_made_when_absent(api: Api) -> None:
    bot = await api.call("POST", "/v1/bots", {"autostart": False})
    assert (await api.call("GET", f"/v1/bots/{bot['id']}"))["id"] == bot["id"]


async def test_a_new_bot_starts_connecting_at_once(api: Api) -> None:
    await api.connected("shop")
    bot = await api.call("GET", "/v1/bots/shop")
    assert (bot["state"], bot["phone"], bot["push_name"]) == ("connected", "+4915100000001", "Alice")


async def test_the_wanted_state_is_taken(api: Api) -> None:
    await api.connected("shop")
    status, bot = await api.ask("POST", "/v1/bots/shop/disconnect")
    assert (status, bot["id"]) == (202, "shop")
    for what in ("connect", "restart", "logout"):
        assert (await api.ask("POST", f"/v1/bots/shop/{what}"))[0] == 202, what


async def test_answers_are_as_the_models_say(api: Api) -> None:
    await api.connected("shop")
    BotList.model_validate(await api.call("GET", "/v1/bots"))
    sent = await api.call("POST", "/v1/bots/shop/messages?wait=5", {"to": "+4915100000002", "text": "hi"})
    OutgoingMessage.model_validate(sent)
    await api.transport("shop").receive("hello")
    page = EventPage.model_validate(await api.call("GET", "/v1/events"))
    for event in page.events:
        model = {
            "bot.created": Bot,
            "bot.state": Bot,
            "message.received": ReceivedMessage,
            "message.status": OutgoingMessage,
        }
        if event.type in model:
            model[event.type].model_validate(event.data)
    told = {event.type.value for event in page.events}
    assert told == {"bot.created", "bot.state", "bot.qr", "message.received", "message.status"}


async def test_a_proxy_is_refused_where_it_cannot_work(api: Api) -> None:
    url = "socks5://user:pa55word@proxy.example:1080"
    status, problem = await api.ask("POST", "/v1/bots", {"id": "shop", "proxy": url})  # scripted bots know none
    assert (status, problem["code"], problem["field"]) == (501, "not-supported", "proxy")
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False, "proxy": None})
    for wrong in ("proxy.example:1080", "http://proxy.example/", url.replace("pa55word", "***"), url + "/x"):
        status, problem = await api.ask("PATCH", "/v1/bots/shop", {"proxy": wrong})
        assert (status, problem["code"], problem["field"]) == (422, "invalid-input", "proxy")
        assert "pa55word" not in str(problem)
    assert (await api.call("GET", "/v1/bots/shop"))["proxy"] is None


async def test_a_delete_or_a_logout_may_be_forced(api: Api) -> None:
    bot = await api.connected("shop")
    bot.reachable = False
    status, problem = await api.ask("DELETE", "/v1/bots/shop")
    assert (status, problem["code"], problem["title"]) == (409, "not-unlinked", "Not unlinked at WhatsApp")
    assert (await api.ask("DELETE", "/v1/bots/shop?force=yes"))[1]["field"] == "force"
    assert (await api.ask("POST", "/v1/bots/shop/logout?force=true"))[0] == 202
    await eventually(lambda: api.core.bots.get("shop").view.code == "logged-out")
    status, problem = await api.ask("POST", "/v1/bots/shop/messages", {"to": "+4915100000002", "text": "hi"})
    assert (status, problem["code"]) == (409, "logged-out")
    assert (await api.ask("DELETE", "/v1/bots/shop?force=true"))[0] == 204


async def test_auth_state_that_is_there_already_needs_a_choice(api: Api) -> None:
    api.transports.occupied.add("shop")
    status, problem = await api.ask("POST", "/v1/bots", {"id": "shop"})
    assert (status, problem["code"], problem["field"]) == (409, "auth-state-found", "auth_state")
    status, problem = await api.ask("POST", "/v1/bots", {"id": "shop", "auth_state": "keep"})
    assert (status, problem["field"]) == (422, "auth_state")
    assert (await api.ask("POST", "/v1/bots", {"id": "shop", "auth_state": "adopt"}))[0] == 201


async def test_a_bot_says_what_can_be_asked_of_it(api: Api) -> None:
    bot = await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    assert bot["actions"] == ["connect", "delete"]
    await api.call("DELETE", "/v1/bots/shop")
    await api.connected("shop")
    assert (await api.call("GET", "/v1/bots/shop"))["actions"] == [
        "disconnect", "restart", "logout", "export", "delete"
    ]  # fmt: skip
    await api.raw("POST", "/v1/bots/shop/export", json={"passphrase": "correct horse battery", "move": True})
    assert (await api.call("GET", "/v1/bots/shop"))["actions"] == ["delete"]
