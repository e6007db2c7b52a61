"""Can everybody use the page: axe on each view, in light and dark, wide and narrow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.api.conftest import TOKEN, Api
from tests.harness.axe import axe_faults
from zapwire.model.errors import Blocked, Condition

SIZES = {"wide": {"width": 1180, "height": 900}, "narrow": {"width": 360, "height": 700}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_view_passes_axe(api: Api, page: Page, scheme: str, size: str) -> None:
    transport = await api.connected("shop")
    await transport.receive("hello")
    await api.call("POST", "/v1/bots/shop/messages", {"to": "+4915199999999", "type": "text", "text": "to nobody"})
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    await page.goto(f"{api.url}/")
    await expect(page.get_by_label("Token")).to_be_visible()
    assert await axe_faults(page) == []
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.locator('[data-state="failed"]')).to_be_visible()
    await page.locator("#journal summary").click()
    await page.get_by_label("To", exact=True).fill("12")
    await page.get_by_label("Text").fill("x")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await axe_faults(page) == []
    await page.goto(f"{api.url}/docs")
    await expect(page.locator(".method").first).to_be_visible()
    assert await axe_faults(page) == []


async def test_what_went_wrong_is_in_sight_on_a_phone(api: Api, page: Page) -> None:
    transport = await api.connected("shop")
    for number in range(12):
        await transport.receive(f"message {number}", number)
    await page.set_viewport_size({"width": 390, "height": 700})
    await page.goto(f"{api.url}/#token={TOKEN}")
    await page.get_by_label("To", exact=True).fill("12")
    await page.get_by_label("Text").fill("x")
    button = page.get_by_role("button", name="Send")
    await button.scroll_into_view_if_needed()
    await button.click()
    await expect(page.get_by_role("alert")).to_be_in_viewport()


async def test_a_long_badge_stays_within_its_card(api: Api, page: Page) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "name": "A shop with a name that is rather long, as shops have"})
    await page.set_viewport_size({"width": 390, "height": 700})
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.locator("#bot-state")).to_be_visible()
    await page.evaluate(
        """document.querySelector("#bot-state .badge").textContent = "Connected, but not well at all" """
    )
    card, badge = await page.locator("#bot").bounding_box(), await page.locator("#bot-state .badge").bounding_box()
    assert card is not None
    assert badge is not None
    assert badge["x"] >= card["x"]
    assert badge["x"] + badge["width"] <= card["x"] + card["width"]


@pytest.mark.parametrize(
    ("code", "words"),
    [(Condition.BANNED, "Banned by WhatsApp"), (Condition.REPLACED, "Session used elsewhere")],
)
async def test_blocked_says_by_whom(api: Api, page: Page, code: Condition, words: str) -> None:
    transport = await api.connected("shop")
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.locator("#bot-state")).to_have_text("Connected")
    until = datetime.now(UTC) + timedelta(hours=1) if code is Condition.BANNED else None
    transport.script.put_nowait(Blocked("for a reason", action="Do something.", condition=code, until=until))
    await expect(page.locator("#bot-state")).to_have_text(words)
    # a ban ends by itself: nothing is put forward that can only fail
    await expect(page.get_by_role("button", name="Connect", exact=True)).to_be_visible(visible=until is None)


async def test_a_bot_that_is_deleted_elsewhere_leaves_the_page(api: Api, page: Page) -> None:
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.locator("#no-bots")).to_be_visible()
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    await expect(page.locator("#bots")).to_contain_text("shop")
    await api.call("DELETE", "/v1/bots/shop")
    await expect(page.locator("#no-bots")).to_be_visible()
