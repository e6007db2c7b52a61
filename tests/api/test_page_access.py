"""Can everybody use the page: axe on each view, in light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.api.conftest import TOKEN, Api
from tests.harness.axe import axe_faults

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
