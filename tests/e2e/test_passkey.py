"""An account that demands a passkey is linked by the page alone: the real daemon, the real sandbox, a real Chromium."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.api.ui.whatsapp_page import ORIGIN, Passkey, add_authenticator, stand_in
from tests.e2e.test_page import FLAGS, PATIENCE, find_chromium
from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox


@asynccontextmanager
async def browser(daemon: Daemon) -> AsyncIterator[tuple[BrowserContext, Page]]:
    """A browser with WhatsApp's page in it, and the daemon's page in front."""
    faults: list[str] = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=await find_chromium(), args=FLAGS)
        context = await chromium.new_context(viewport={"width": 1200, "height": 900})
        context.set_default_timeout(PATIENCE)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        await stand_in(context)
        page = await context.new_page()
        await page.goto(f"{daemon.url}/#token={daemon.token}")
        yield context, page
        await chromium.close()
    assert faults == []


async def create(page: Page) -> None:
    await page.get_by_label("New bot").fill("shop")
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("#bot-state")).to_have_text("Waiting for a phone", timeout=PATIENCE)


async def asked(page: Page) -> None:
    await expect(page.get_by_role("heading", name="WhatsApp wants the passkey")).to_be_visible(timeout=PATIENCE)


async def connected(page: Page) -> None:
    await expect(page.locator("#bot-state")).to_have_text("Connected", timeout=PATIENCE)


@pytest.mark.parametrize("pairing", ["own", "auto"])
async def test_as_in_the_demo_by_one_click_each(tmp_path: Path, sandbox: Sandbox, pairing: str) -> None:
    async with (
        Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_PAIRING=pairing) as daemon,
        browser(daemon) as (_, page),
    ):
        await create(page)
        await page.get_by_label("whose account demands a passkey").check()
        await page.get_by_role("button", name="Scan with a virtual phone").click()
        if pairing == "auto":  # the engine paired so far; its own client begins again
            await expect(page.locator("#bot-action")).to_contain_text("once more", timeout=PATIENCE)
            await page.get_by_role("button", name="Scan with a virtual phone").click()
        await asked(page)
        await page.get_by_role("button", name="Use the virtual phone's passkey").click()
        await connected(page)
        contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
        await page.get_by_label("To", exact=True).fill(f"+{CONTACT_NUMBER}")
        await page.get_by_label("Text", exact=True).fill("linked with a passkey")
        await page.get_by_role("button", name="Send").click()
        await arrived(contact, "linked with a passkey")


async def test_by_the_script_in_a_browser_that_has_the_passkey(tmp_path: Path, sandbox: Sandbox) -> None:
    daemon = Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_PAIRING="own")
    async with daemon, browser(daemon) as (context, page):
        await create(page)
        phone = await sandbox.phone(BOT_NUMBER)
        shown = await sandbox.call("PUT", f"/phones/{BOT_NUMBER}/passkey", {"demanded": True})
        await phone.scan(await daemon.qr("shop"))
        await asked(page)
        await page.get_by_text("a script for the console").click()
        await expect(page.get_by_label("The script")).not_to_have_value("")
        script = await page.get_by_label("The script").input_value()

        tab = await context.new_page()
        await tab.goto(f"{ORIGIN}/")
        session = await add_authenticator(tab, Passkey(id=b"another account's"))
        await session.send("Runtime.evaluate", {"expression": script, "replMode": True})
        await expect(page.locator("#notice")).to_contain_text("WhatsApp did not accept this passkey")
        await tab.close()

        await expect(page.get_by_label("The script")).not_to_have_value(script)
        script = await page.get_by_label("The script").input_value()
        tab = await context.new_page()
        await tab.goto(f"{ORIGIN}/")
        session = await add_authenticator(tab, passkey_of(shown["credential"]))
        await session.send("Runtime.evaluate", {"expression": script, "replMode": True})
        await connected(page)
        log = daemon.log
        assert "challenge" not in log
        assert "clientDataJSON" not in log


def passkey_of(credential: dict[str, str]) -> Passkey:
    key = serialization.load_der_private_key(base64.b64decode(credential["private_key"]), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Passkey(key, base64.b64decode(credential["credential_id"]))


async def test_a_restart_in_the_middle_begins_again_and_then_links(tmp_path: Path, sandbox: Sandbox) -> None:
    async with Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_PAIRING="own") as daemon:
        await daemon.call("POST", "/v1/bots", {"id": "shop"})
        scan = {"bot": "shop", "passkey": True}
        await daemon.call("POST", "/v1/sandbox/scan", scan)
        await daemon.call("GET", "/v1/bots/shop/passkey?wait=30")
        await daemon.kill()
        await daemon.start()
        await daemon.call("POST", "/v1/sandbox/scan", scan)
        await daemon.call("POST", "/v1/sandbox/passkey", {"bot": "shop"})
        await daemon.until_state("shop", "connected")
