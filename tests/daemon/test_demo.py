"""`make demo` as a newcomer lives it: real engine, own sandbox, real Chromium."""

from __future__ import annotations

import signal
from pathlib import Path

import aiohttp
from playwright.async_api import Page, expect

from tests.daemon.test_program import Running, zapwire

CONTACT = "4915100000002"


async def link_of(daemon: Running) -> str:
    return (await daemon.line("open the page")).split(": ", 1)[1]


async def test_one_click_scans_both_sides_chat_and_a_restart_keeps_the_session(tmp_path: Path, page: Page) -> None:
    async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
        link = await link_of(daemon)
        await page.goto(link)
        await page.get_by_label("New bot").fill("shop")
        await page.get_by_role("button", name="Create").click()
        await page.get_by_role("button", name="Scan with a virtual phone").click(timeout=30_000)
        await expect(page.locator("#bot-state")).to_have_text("Connected", timeout=30_000)
        await chat(page, await phones(page), "first")
        await daemon.end(signal.SIGKILL)
    async with zapwire(tmp_path, "serve", "--sandbox") as daemon:
        await page.goto(await link_of(daemon))
        await expect(page.locator("#bot-state")).to_have_text("Connected", timeout=30_000)
        await chat(page, await phones(page), "second")
        code, log = await daemon.end()
    assert code == 0
    assert "bot shop: connected" in log


async def phones(page: Page) -> str:
    """Address of the virtual phones, as the page links to it; Ana is there from the start."""
    address = await page.get_by_role("link", name="Open the virtual phones").get_attribute("href")
    assert address
    return address


async def chat(page: Page, address: str, word: str) -> None:
    account = (await page.locator("#bot-account").inner_text()).split(" · ")[0]
    body = {"to": account.removeprefix("+"), "text": f"{word} question"}
    async with aiohttp.ClientSession() as http, http.post(f"{address}admin/phones/{CONTACT}/send", json=body) as answer:
        assert answer.status < 300, await answer.text()
    await page.get_by_role("button", name=f"{word} question").click()
    await expect(page.get_by_label("To", exact=True)).to_have_value(f"+{CONTACT}")
    await page.get_by_label("Text").fill(f"{word} answer")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#messages li.mine").last).to_contain_text("delivered ✓✓", timeout=30_000)
