"""The page in a real Chromium: create a bot, scan, chat."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 45_000
"""Milliseconds a step may take on a busy machine."""


async def find_chromium() -> str:
    finder = Path(__file__).parents[2] / "tools" / "find-chromium"
    process = await asyncio.create_subprocess_exec(finder, stdout=asyncio.subprocess.PIPE)
    path, _ = await process.communicate()
    assert process.returncode == 0
    return path.decode().strip()


@pytest_asyncio.fixture
async def page(daemon: Daemon, tmp_path: Path) -> AsyncIterator[Page]:
    chromium = await find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS, env={**os.environ})
        tab = await browser.new_page(viewport={"width": 1200, "height": 900})
        tab.set_default_timeout(PATIENCE)
        faults: list[str] = []
        tab.on("pageerror", lambda error: faults.append(str(error)))
        await tab.goto(f"{daemon.url}/#token={daemon.token}")
        yield tab
        await browser.close()
    assert faults == []


async def test_one_click_links_a_bot_and_both_sides_chat(page: Page, daemon: Daemon, sandbox: Sandbox) -> None:
    await page.get_by_label("New bot").fill("shop")
    await page.get_by_role("button", name="Create").click()
    await page.get_by_role("button", name="Scan with a virtual phone").click()
    await expect(page.locator("#bot-state")).to_have_text("Connected", ignore_case=True, timeout=PATIENCE)

    contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
    number = (await daemon.call("GET", "/v1/bots/shop"))["phone"].lstrip("+")
    await contact.send(number, "seen on the page?")
    await expect(page.get_by_text("seen on the page?").first).to_be_visible(timeout=PATIENCE)

    await page.get_by_label("To", exact=True).fill(f"+{CONTACT_NUMBER}")
    await page.get_by_label("Text", exact=True).fill("yes, I see it")
    await page.get_by_role("button", name="Send").click()
    await arrived(contact, "yes, I see it")
    await expect(page.locator("#messages").get_by_text("yes, I see it")).to_be_visible(timeout=PATIENCE)


async def test_the_page_shows_a_qr_code_that_a_phone_can_scan(page: Page, daemon: Daemon, sandbox: Sandbox) -> None:
    await page.get_by_label("New bot").fill("desk")
    await page.get_by_role("button", name="Create").click()
    picture = page.locator("#qr")
    await expect(picture).to_be_visible(timeout=PATIENCE)
    await expect(picture).to_have_attribute("src", re.compile("^(data:image|blob:)"), timeout=PATIENCE)
    phone = await sandbox.phone(BOT_NUMBER)
    await phone.scan(await daemon.qr("desk"))
    await expect(page.locator("#bot-state")).to_have_text("Connected", ignore_case=True, timeout=PATIENCE)
    await expect(picture).to_be_hidden()


async def test_a_wrong_token_is_refused_in_words(page: Page, daemon: Daemon) -> None:
    await page.get_by_role("button", name="Forget token").click()
    await page.get_by_label("Token").fill("zw_wrong")
    await page.get_by_role("button", name="Enter").click()
    await expect(page.locator("#notice")).to_be_visible()
    await expect(page.locator("#desk")).to_be_hidden()
