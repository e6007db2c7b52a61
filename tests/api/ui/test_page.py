"""The page in a real Chromium, over the real API with a scripted transport."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from tests.api.conftest import TOKEN, Api, open_api, serve
from tests.harness.scripted import ALICE
from zapwire.api.http.context import WARNINGS
from zapwire.api.sandbox.client import SandboxClient
from zapwire.model.bots import NO_BOT
from zapwire.model.errors import Condition
from zapwire.model.events import EventType
from zapwire.transport.protocol import Connected, Troubled


@pytest_asyncio.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Api]:
    """The API with a sandbox whose virtual phone scans at once."""
    running: list[Api] = []

    async def scan(_: web.Request) -> web.Response:
        for transport in running[0].transports.made.values():
            transport.scan()
        return web.json_response({"phone": "4915100000001"})

    admin = web.Application()
    admin.router.add_post("/admin/mock-phone/scan-qr", scan)
    async for url in serve(admin):
        async with aiohttp.ClientSession() as http:
            async for one in open_api(tmp_path, SandboxClient("wss://127.0.0.1:9/ws/chat", f"{url}/admin", http)):
                running.append(one)
                yield one


async def test_a_newcomer_pairs_and_chats(demo: Api, page: Page) -> None:
    await page.goto(f"{demo.url}/#token={TOKEN}")
    await expect(page.locator("#banner")).to_contain_text("this is not WhatsApp")
    await expect(page.locator("#version")).to_contain_text("zapwire 0.")
    assert TOKEN not in page.url
    await page.get_by_label("New bot").fill("shop")
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("#bot-state")).to_have_text("Waiting for a phone")
    await expect(page.get_by_role("img", name="QR code")).to_have_attribute(
        "src", re.compile("^data:image/png;base64,")
    )
    await expect(page.locator("#qr-note")).to_contain_text("Renews itself in")
    await page.get_by_role("button", name="Scan with a virtual phone").click()
    await expect(page.locator("#bot-state")).to_have_text("Connected")
    await expect(page.locator("#pairing")).to_be_hidden()
    await page.get_by_label("To", exact=True).fill("+4915100000002")
    await page.get_by_label("Text").fill("hello from the page")
    await page.get_by_role("button", name="Send").click()
    sent = page.locator("#messages li.mine")
    await expect(sent).to_contain_text("hello from the page")
    await expect(sent).to_contain_text("sent ✓")
    await demo.transport("shop").receive("hello yourself")
    await expect(page.locator("#messages li.theirs")).to_contain_text("hello yourself")
    await page.locator("#journal summary").click()
    await expect(page.locator("#events tr").first).to_contain_text("Ana: hello yourself")


async def test_a_code_for_the_phone_comes_with_where_to_type_it(demo: Api, page: Page) -> None:
    await demo.call("POST", "/v1/bots", {"id": "shop"})
    await page.goto(f"{demo.url}/#token={TOKEN}")
    await page.get_by_label("Or link with the phone number").fill("+4915123456789")
    await page.get_by_role("button", name="Get code").click()
    await expect(page.locator("#code")).to_have_text(re.compile("^.{4}-.{4}$"))
    await expect(page.locator("#code-hint")).to_be_visible()


async def test_a_reload_shows_the_same_again(demo: Api, page: Page) -> None:
    transport = await demo.connected("shop")
    await transport.receive("before the reload")
    await page.goto(f"{demo.url}/#token={TOKEN}")
    await expect(page.locator("#messages")).to_contain_text("before the reload")
    await page.reload()
    await expect(page.locator("#messages")).to_contain_text("before the reload")
    await expect(page.locator("#bot-state")).to_have_text("Connected")


async def test_a_connected_bot_that_is_not_well_raises_an_alert(demo: Api, page: Page) -> None:
    transport = await demo.connected("shop")
    await page.goto(f"{demo.url}/#token={TOKEN}")
    await expect(page.locator("#bot-state")).to_have_text("Connected")
    await expect(page.get_by_role("alert")).to_be_hidden()
    await transport.emit(Troubled("WhatsApp did not answer the last 2 probes", "none yet", Condition.SILENT))
    await expect(page.get_by_role("alert")).to_have_text("Not well: WhatsApp did not answer the last 2 probes.")
    await expect(page.locator("#bot-state")).to_have_text("Connected, but not well")
    await transport.emit(Connected(ALICE))
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.locator("#bot-state")).to_have_text("Connected")


async def test_a_wrong_token_is_told_and_another_one_can_be_given(api: Api, page: Page) -> None:
    await page.goto(f"{api.url}/#token=wrong")
    await expect(page.get_by_role("alert")).to_have_text("That token does not work.")
    await page.get_by_label("Token").fill(TOKEN)
    await page.get_by_role("button", name="Enter").click()
    await expect(page.get_by_role("heading", name="Bots")).to_be_visible()
    await expect(page.locator("#banner")).to_be_hidden()
    await expect(page.get_by_role("button", name="Scan with a virtual phone")).to_be_hidden()


async def test_the_printed_link_works_in_a_tab_that_shows_the_page_already(api: Api, page: Page) -> None:
    await page.goto(f"{api.url}/")
    await expect(page.get_by_label("Token")).to_be_visible()
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.get_by_role("heading", name="Bots")).to_be_visible()
    assert TOKEN not in page.url


async def test_trouble_is_told_in_words(api: Api, page: Page) -> None:
    await api.connected("shop")
    await page.goto(f"{api.url}/#token={TOKEN}")
    await page.get_by_label("To", exact=True).fill("12")
    await page.get_by_label("Text").fill("x")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_contain_text("phone number")
    await page.get_by_label("To", exact=True).fill("+4915199999999")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#messages li.mine")).to_contain_text("not on WhatsApp")


async def test_markup_in_a_message_stays_text(api: Api, page: Page) -> None:
    transport = await api.connected("shop")
    await transport.receive("<img src=x onerror=alert(1)>")
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.locator("#messages")).to_contain_text("<img src=x onerror=alert(1)>")
    assert await page.locator("#messages img").count() == 0


async def test_a_bot_is_logged_out_and_deleted(api: Api, page: Page) -> None:
    await api.connected("shop")
    await page.goto(f"{api.url}/#token={TOKEN}")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Log out").click()
    await expect(page.locator("#bot-state")).to_have_text("Logged out")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator("#no-bots")).to_be_visible()
    assert (await api.call("GET", "/v1/bots"))["bots"] == []


async def test_the_api_page_shows_every_call(api: Api, page: Page) -> None:
    await page.goto(f"{api.url}/docs")
    document = await api.call("GET", "/openapi.json")
    wanted = sum(len(methods) for methods in document["paths"].values())
    await expect(page.locator(".method")).to_have_count(wanted)


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_on_a_phone_no_page_is_wider_than_the_screen(api: Api, page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(f"{api.url}{path}")
    await expect(page.locator("#login" if path == "/" else ".method").first).to_be_visible()
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 390
    for block in await page.locator("#login pre").all():
        assert await block.evaluate("block => block.scrollWidth <= block.clientWidth")


async def test_auth_state_in_the_clear_is_complained_about(
    api: Api, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.get_by_role("heading", name="Bots")).to_be_visible()
    await expect(page.locator("#warnings")).to_be_hidden()
    monkeypatch.setitem(api.app._state, WARNINGS, ["auth state is stored in the clear"])
    await page.reload()
    await expect(page.locator("#warnings")).to_have_text("Warning: auth state is stored in the clear.")


async def test_what_the_daemon_says_of_itself_is_shown_in_words(api: Api, page: Page) -> None:
    told = (
        (EventType.DAEMON_STARTED, {"reason": "crashed", "detail": "the last run ended without a stop"}),
        (EventType.DAEMON_ALERT, {"kind": "database", "state": "raised", "detail": "disk is full"}),
        (EventType.DAEMON_ALERT, {"kind": "database", "state": "cleared", "detail": "it answers again"}),
    )
    for kind, data in told:
        await api.core.database.write(lambda unit, kind=kind, data=data: unit.journal.append(kind, NO_BOT, data))
    await page.goto(f"{api.url}/#token={TOKEN}")
    await page.locator("#journal summary").click()
    rows = page.locator("#events tr")
    await expect(rows.nth(2)).to_contain_text("the last run ended without a stop")
    await expect(rows.nth(1)).to_contain_text("database: disk is full")
    await expect(rows.nth(0)).to_contain_text("database: over")
