"""The page of the virtual phones in a real Chromium."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.harness.axe import axe_faults
from tests.sandbox.passkey_client import Companion
from tests.sandbox.wire_client import WireClient
from zapwire.sandbox.phones.compose import Media, PhoneMessage
from zapwire.sandbox.running import RunningSandbox, running_sandbox
from zapwire.wire.node import WireJid

ANA, BOB = "4915100000001", "4915100000002"
PATIENCE = 30_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest_asyncio.fixture
async def page(sandbox: RunningSandbox) -> AsyncIterator[Page]:
    finder = Path(__file__).parents[2] / "tools" / "find-chromium"
    process = await asyncio.create_subprocess_exec(finder, stdout=asyncio.subprocess.PIPE)
    chromium, _ = await process.communicate()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.decode().strip(), args=FLAGS, env={**os.environ}
        )
        tab = await browser.new_page(ignore_https_errors=True, viewport={"width": 1200, "height": 800})
        tab.set_default_timeout(PATIENCE)
        faults: list[str] = []
        tab.on("pageerror", lambda error: faults.append(str(error)))
        await tab.goto(sandbox.descriptor["admin"].removesuffix("admin"))
        yield tab
        await browser.close()
    assert faults == []


async def test_a_person_creates_a_phone_and_chats(page: Page, sandbox: RunningSandbox) -> None:
    await page.get_by_label("Number").fill(ANA)
    await page.get_by_label("Name").fill("Ana")
    await page.get_by_role("button", name="New phone").click()
    await expect(page.locator("#who")).to_have_text(f"Ana ({ANA})")
    bob, _ = await sandbox.phones.ensure(BOB, "Bob")

    await bob.send(PhoneMessage(to=ANA, text="<b>hello</b>"))
    await page.get_by_role("button", name=f"Bob ({BOB})").click()
    await expect(page.locator("#messages")).to_contain_text("<b>hello</b>")
    async with asyncio.timeout(30):
        while not any(e.data["receipt"] == "read" for e in bob.inbox.after(0, {"receipt"})):
            await bob.inbox.wait_after(bob.inbox.last, 5)

    await page.get_by_label("Message").fill("hi Bob")
    await page.get_by_role("button", name="Send").click()
    mine = page.locator("#messages li.mine")
    await expect(mine).to_contain_text("hi Bob")
    await expect(mine.locator(".ticks.delivered")).to_have_text("✓✓")
    await bob.read()
    await expect(mine.locator(".ticks.read")).to_have_text("✓✓")
    assert "composing" in [e.data["state"] for e in bob.inbox.after(0, {"typing"})]
    await bob.typing(ANA)
    await expect(page.locator("#typing")).to_contain_text("is typing")

    media = Media.model_validate({"kind": "document", "data": "aGk=", "filename": "hi.html", "mimetype": "text/html"})
    await bob.send(PhoneMessage(to=ANA, media=media))
    async with page.expect_download() as download:
        await page.get_by_role("link", name="save").click()
    assert (await (await download.value).path()).read_bytes() == b"hi"


async def test_a_group_has_its_name_and_its_senders(page: Page, sandbox: RunningSandbox) -> None:
    await sandbox.phones.ensure(ANA, "Ana")
    bob, _ = await sandbox.phones.ensure(BOB, "Bob")
    await expect(page.locator("#who")).to_have_text(f"Ana ({ANA})")
    group = (await bob.groups.create("Lunch", [ANA]))["group"]
    await bob.send(PhoneMessage(to=group, text="who is in?"))
    await page.get_by_role("button", name="Lunch").click()
    await expect(page.locator("#messages li").last).to_contain_text("Bobwho is in?")
    await bob.groups.set_subject(WireJid.parse(group), "Dinner")
    await expect(page.locator("#peer")).to_have_text("Dinner")


async def test_a_pasted_qr_code_links_a_device(page: Page, sandbox: RunningSandbox) -> None:
    await sandbox.phones.ensure(ANA, "Ana")
    await expect(page.locator("#who")).to_have_text(f"Ana ({ANA})")
    client = WireClient(sandbox.descriptor)
    async with await client.connect(client.registration()):
        await page.get_by_text("Link a device").click()
        await page.get_by_label("QR text").fill((await client.qr_codes())[0])
        await page.get_by_role("button", name="Scan this QR").click()
        await client.confirm_pairing()
    await expect(page.get_by_role("button", name="device 1: log out")).to_be_visible()
    await expect(page.get_by_label("QR text")).to_be_hidden()


async def test_the_passkey_is_used_and_the_code_compared_by_page_alone(page: Page, sandbox: RunningSandbox) -> None:
    await sandbox.phones.ensure(ANA, "Ana")
    await expect(page.locator("#who")).to_have_text(f"Ana ({ANA})")
    async with page.expect_response("**/passkey"):
        await page.get_by_label("Linking a device demands a passkey").check()
    client = WireClient(sandbox.descriptor)
    async with await client.connect(client.registration()):
        await page.get_by_text("Link a device").click()
        await page.get_by_label("QR text").fill((await client.qr_codes())[0])
        await page.get_by_role("button", name="Scan this QR").click()
        companion = Companion(client)
        await companion.question()
        await page.get_by_role("button", name="Use the passkey").click()
        answer = await page.get_by_label("Answer of the passkey").input_value()
        number = sandbox.phones.get(ANA).authenticator.credential_id
        await companion.send(json.loads(answer), number, proof=False)
        code, primary = await companion.code()
        await expect(page.locator("#pairing output")).to_have_text(code)
        assert await axe_faults(page) == []
        await page.get_by_role("button", name="The same code").click()
        await companion.request(primary)
        await client.confirm_pairing()
    await expect(page.locator("#pairing")).to_have_text("Linked with the passkey.")


async def test_mistakes_are_told_in_words(page: Page, sandbox: RunningSandbox) -> None:
    await sandbox.phones.ensure(ANA, "Ana")
    await expect(page.locator("#who")).to_have_text(f"Ana ({ANA})")
    await page.get_by_text("Link a device").click()
    await page.get_by_label("QR text").fill("nonsense")
    await page.get_by_role("button", name="Scan this QR").click()
    await expect(page.get_by_role("alert")).to_contain_text("QR code")
    await page.get_by_label("Pairing code").fill("ABCD-1234")
    await page.get_by_role("button", name="Enter code").click()
    await expect(page.get_by_role("alert")).to_contain_text("no client waits")
    await page.get_by_label("Write to").fill("4915199999999")
    await page.get_by_role("button", name="Open").click()
    await page.get_by_label("Message").fill("anyone?")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_contain_text("not on WhatsApp")


async def test_a_refusal_stays_until_something_else_is_tried(page: Page, sandbox: RunningSandbox) -> None:
    await page.get_by_label("Number").fill("12")
    await page.get_by_role("button", name="New phone").click()
    problem = page.get_by_role("alert")
    await expect(problem).to_contain_text("5 to 15 digits")
    async with page.expect_response("**/admin/phones"):  # the next look at the list of phones
        pass
    await expect(problem).to_contain_text("5 to 15 digits")
    await page.get_by_label("Number").fill("+55 11 99876-5432")
    await page.get_by_role("button", name="New phone").click()
    await expect(page.locator("#who")).to_contain_text("5511998765432")
    await expect(problem).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_phones_pass_axe(page: Page, sandbox: RunningSandbox, scheme: Literal["light", "dark"]) -> None:
    ana, bob = (await sandbox.phones.ensure(ANA, "Ana"))[0], (await sandbox.phones.ensure(BOB, "Bob"))[0]
    await bob.send(PhoneMessage(to=ANA, text="hello"))
    await ana.send(PhoneMessage(to=BOB, text="hello yourself"))
    await page.emulate_media(color_scheme=scheme)
    await page.locator("#phones").get_by_text("Ana").click()
    await page.locator("#chats").get_by_text("Bob").click()
    await expect(page.locator("#messages li.mine .ticks")).to_be_visible()
    await bob.read()
    await expect(page.locator("#messages li.mine .ticks.read")).to_be_visible()
    assert await axe_faults(page) == []
