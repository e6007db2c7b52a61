"""Linking an account that demands a passkey on the page, in a real Chromium with a virtual authenticator."""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.api.conftest import FLAGS, TOKEN, Api, open_api
from tests.api.ui.whatsapp_page import ORIGIN, Passkey, add_authenticator, stand_in
from tests.harness.axe import axe_faults
from tests.harness.scripted import CODE, PasskeyTransport
from zapwire.model.errors import PairingTimedOut
from zapwire.model.pairing import PairingStep

PICTURES = Path(__file__).parents[3] / "docs" / "passkey"


@pytest_asyncio.fixture
async def flagged(tmp_path: Path) -> AsyncIterator[Api]:
    """The API over accounts that demand a passkey."""
    async for one in open_api(tmp_path, kind=PasskeyTransport):
        yield one


@pytest_asyncio.fixture
async def context(chromium: str) -> AsyncIterator[BrowserContext]:
    """A browser with WhatsApp's page in it, that complains about scripts that fail."""
    complaints: list[str] = []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=FLAGS)
        made = await browser.new_context(viewport={"width": 1180, "height": 900})
        made.set_default_timeout(15_000)
        made.on("weberror", lambda error: complaints.append(str(error.error)))
        await stand_in(made)
        yield made
        await browser.close()
    assert complaints == []


async def at_the_passkey(api: Api, context: BrowserContext, **manners: Any) -> tuple[PasskeyTransport, Page]:
    """A bot whose code was scanned, and the page that shows it."""
    api.transports.manners |= manners
    await api.call("POST", "/v1/bots", {"id": "shop"})
    await api.call("GET", "/v1/bots/shop/qr?wait=5")
    transport = api.transport("shop")
    assert isinstance(transport, PasskeyTransport)
    page = await context.new_page()
    await page.goto(f"{api.url}/#token={TOKEN}")
    await expect(page.locator("#pairing")).to_be_visible()
    transport.scan()
    await expect(page.get_by_role("heading", name="WhatsApp wants the passkey")).to_be_visible()
    return transport, page


async def picture(page: Page, name: str) -> None:
    """Make the picture of docs/passkey.md again, when RECORD_PICTURES says so."""
    if "RECORD_PICTURES" not in os.environ:
        return
    await page.set_viewport_size({"width": 1000, "height": 700})
    await page.evaluate("scrollTo(0, 0)")
    taken = await page.locator("main.work").screenshot(animations="disabled")
    with Image.open(io.BytesIO(taken)) as image:
        image.convert("RGB").quantize(64).save(PICTURES / f"{name}.png", optimize=True)


async def script(page: Page) -> str:
    await page.get_by_text("a script for the console").click()
    await expect(page.get_by_label("The script")).not_to_have_value("")
    return await page.get_by_label("The script").input_value()


async def in_console(context: BrowserContext, text: str, passkey: Passkey | None, *, verifies: bool = True) -> Page:
    """Run *text* as a person does in the console of WhatsApp's page; the tab."""
    tab = await context.new_page()
    await tab.goto(f"{ORIGIN}/")
    session = await add_authenticator(tab, passkey, verifies=verifies)
    await session.send("Runtime.evaluate", {"expression": text, "replMode": True})
    return tab


async def test_the_page_says_what_to_do_and_warns(flagged: Api, context: BrowserContext) -> None:
    _, page = await at_the_passkey(flagged, context)
    await expect(page.locator("#bot-state")).to_have_text("Passkey needed")
    await expect(page.locator("#passkey-left")).to_contain_text("You have 9:")
    await expect(page.locator("#pairing")).to_be_hidden()
    await expect(page.get_by_text("Whoever makes you do this with")).to_be_visible()
    await expect(page.get_by_text("Never paste code from anybody else")).to_be_hidden()
    await picture(page, "question")
    await page.get_by_text("a script for the console").click()
    await expect(page.get_by_text("Never paste code from anybody else")).to_be_visible()
    await picture(page, "script")
    await page.get_by_text("I have no computer").click()
    await expect(page.get_by_text("needed once, for this step only")).to_be_visible()
    await page.get_by_text("The phone says that there is no passkey").click()
    await expect(page.get_by_text("Settings, Account, Passkeys. Create one")).to_be_visible()
    assert await axe_faults(page) == []


async def test_the_script_comes_back_with_the_answer(flagged: Api, context: BrowserContext) -> None:
    transport, page = await at_the_passkey(flagged, context)
    passkey = Passkey()
    tab = await in_console(context, await script(page), passkey)
    await expect(tab.get_by_role("heading", name="The answer is handed over")).to_be_visible()
    assert tab.url == f"{flagged.url}/", "the answer is taken from the address"
    await expect(page.get_by_role("heading", name="WhatsApp took the passkey")).to_be_visible()
    assert passkey.verifies(transport.answers[0])
    await expect(page.locator("#passkey-code-text")).to_have_text(CODE)
    await expect(page.locator("#passkey-same")).to_be_hidden()
    await expect(page.locator("#passkey-other")).to_be_visible()
    await picture(page, "accept")
    assert await axe_faults(page) == []
    transport.accepted.set()
    await expect(page.locator("#bot-state")).to_have_text("Connected")
    await expect(page.locator("#passkey")).to_be_hidden()


async def test_in_a_browser_where_nobody_is_logged_in_the_token_is_asked_for(
    flagged: Api, context: BrowserContext
) -> None:
    transport, page = await at_the_passkey(flagged, context)
    text = await script(page)
    await page.close()
    tab = await in_console(context, text, Passkey())
    await expect(tab.get_by_role("alert")).to_have_text("Give your token, then the passkey's answer is handed in.")
    await tab.get_by_label("Token").fill(TOKEN)
    await tab.get_by_role("button", name="Enter").click()
    await expect(tab.get_by_role("heading", name="WhatsApp took the passkey")).to_be_visible()
    assert len(transport.answers) == 1


@pytest.mark.parametrize("secure", [True, False])
async def test_the_script_is_copied(flagged: Api, context: BrowserContext, secure: bool) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=flagged.url)
    _, page = await at_the_passkey(flagged, context)
    text = await script(page)
    if not secure:
        await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await page.get_by_role("button", name="Copy the script").click()
    field = page.get_by_label("paste the answer")
    await expect(page.get_by_role("button", name="Copy the script")).to_be_enabled()
    await field.focus()
    await page.keyboard.press("Control+V")
    await expect(field).to_have_value(text)


async def test_the_script_refuses_to_run_elsewhere(flagged: Api, context: BrowserContext) -> None:
    _, page = await at_the_passkey(flagged, context)
    text = await script(page)
    with pytest.raises(Exception, match=r"open https://web\.whatsapp\.com first"):
        await page.evaluate(text)


async def paste(page: Page, text: str) -> None:
    await page.get_by_label("paste the answer").fill(text)
    await page.get_by_role("button", name="Hand in").click()


async def credential(context: BrowserContext, page: Page, passkey: Passkey | None, **how: Any) -> str:
    """What WhatsApp's page gives for the question that the page shows, as text to paste."""
    question = await page.locator("#passkey").get_attribute("data-question")
    tab = await context.new_page()
    await tab.goto(how.pop("where", f"{ORIGIN}/"))
    await add_authenticator(tab, passkey, **how)
    found = await tab.evaluate(
        """async (question) => {
            const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(question));
            const found = await navigator.credentials.get({ publicKey }).catch((error) => error);
            return JSON.stringify(found instanceof Error ? { error: found.name } : found.toJSON());
        }""",
        question,
    )
    await tab.close()
    assert isinstance(found, str)
    return found


async def test_whatever_is_wrong_is_told_and_the_right_answer_then_works(flagged: Api, context: BrowserContext) -> None:
    transport, page = await at_the_passkey(flagged, context, refusals=1)
    passkey = Passkey()
    await script(page)
    alert = page.get_by_role("alert").and_(page.locator("#notice"))
    old = await credential(context, page, passkey)
    for text in ("not json", "[]", "null", '"' + "A" * 70_000 + '"'):
        await paste(page, text)
        await expect(alert).to_contain_text("That is not the answer of a passkey")
    await paste(page, '{"response": {}}')
    await expect(alert).to_contain_text("is required")

    await paste(page, await credential(context, page, None))
    await expect(alert).to_contain_text("there is none for whatsapp.com on this computer. Choose “phone”")

    await context.route("https://evil.whatsapp.com/", lambda route: route.fulfill(status=200, body="<p>evil"))
    await paste(page, await credential(context, page, passkey, where="https://evil.whatsapp.com/"))
    await expect(alert).to_contain_text("was used on https://evil.whatsapp.com instead of web.whatsapp.com")

    client = json.loads(old)
    client["response"]["authenticatorData"] = without_verification(client["response"]["authenticatorData"])
    await paste(page, json.dumps(client))
    await expect(alert).to_contain_text("without PIN, face or finger")

    await paste(page, old)  # which WhatsApp refuses
    await expect(alert).to_contain_text("did not accept this passkey. Is it the one of this account? Here is a new")
    await paste(page, old)
    await expect(alert).to_contain_text("older question")

    assert transport.answers == []
    await paste(page, await credential(context, page, passkey))
    await expect(page.get_by_role("heading", name="WhatsApp took the passkey")).to_be_visible()
    assert passkey.verifies(transport.answers[0])


def without_verification(data: str) -> str:
    """Authenticator data with the bit cleared that says who used it; 32 bytes of hash stand before the flags."""
    head, flags, rest = data[:42], data[42:44], data[44:]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = alphabet.index(flags[0]) * 64 + alphabet.index(flags[1])  # bits 0-3 end the hash, 4-11 are the flags
    number &= ~0b0000_00000100 & 0xFFF
    return head + alphabet[number // 64] + alphabet[number % 64] + rest


@pytest.mark.parametrize("same", [True, False])
async def test_a_person_compares_the_codes(flagged: Api, context: BrowserContext, same: bool) -> None:
    transport, page = await at_the_passkey(flagged, context, compares=True)
    await script(page)
    await paste(page, await credential(context, page, Passkey()))
    await expect(page.get_by_role("heading", name="Compare the codes")).to_be_visible()
    await expect(page.locator("#passkey-code-text")).to_have_text(CODE)
    assert await axe_faults(page) == []
    if same:
        await picture(page, "compare")
        await page.get_by_role("button", name="The same code is on my phone").click()
        await expect(page.get_by_role("heading", name="WhatsApp took the passkey")).to_be_visible()
        assert transport.confirmed.is_set()
        return
    await page.get_by_role("button", name="It is another one").click()
    await expect(page.locator("#notice")).to_have_text("Stop: somebody else is in between. Nothing was linked.")
    await expect(page.locator("#passkey")).to_be_hidden()
    await expect(page.locator("#bot-reason")).to_contain_text("Nothing was linked")
    assert not transport.linked


async def test_a_phone_that_answers_late_is_waited_for_and_then_shows_the_code(
    flagged: Api, context: BrowserContext
) -> None:
    transport, page = await at_the_passkey(flagged, context, shows_code=False)
    await transport.go(PairingStep.PHONE)
    await expect(page.get_by_text("Open WhatsApp on the phone and accept there.")).to_be_visible()
    await expect(page.locator("#passkey-left")).to_contain_text("You have 9:")
    await transport.go(PairingStep.PHONE, ("the phone does not answer", "open WhatsApp there"))
    await expect(page.locator("#bot-reason")).to_have_text("The phone does not answer.")
    await expect(page.locator("#passkey-code-text")).to_be_hidden()
    transport.shows_code = True
    await transport.go(PairingStep.PHONE)
    await expect(page.locator("#passkey-code-text")).to_have_text(CODE)


async def test_when_the_time_is_up_the_page_says_so(flagged: Api, context: BrowserContext) -> None:
    transport, page = await at_the_passkey(flagged, context)
    transport.end(PairingTimedOut("nobody answered", action="Connect the bot to start over."))
    await expect(page.locator("#bot-state")).to_have_text("Pairing timed out")
    await expect(page.locator("#passkey")).to_be_hidden()
    assert await page.locator("#passkey").get_attribute("data-question") is None
    assert await page.get_by_label("The script").input_value() == ""


async def test_what_a_foreign_page_puts_behind_the_address_is_refused_in_words(
    flagged: Api, context: BrowserContext
) -> None:
    transport, page = await at_the_passkey(flagged, context)
    await page.goto(f"{flagged.url}/#bot=shop&passkey=%7B%22x%22%3A1%7D")
    await expect(page.locator("#notice")).to_contain_text("is required")
    assert page.url == f"{flagged.url}/"
    await page.goto(f"{flagged.url}/#bot=nobody&passkey=<img>")
    await expect(page.locator("#notice")).to_contain_text("for a bot that is not here")
    await page.goto(f"{flagged.url}/#bot=shop&passkey=<img>")
    await expect(page.locator("#notice")).to_contain_text("That is not the answer of a passkey")
    assert transport.answers == []


async def test_on_a_phone_the_panel_is_no_wider_than_the_screen(flagged: Api, context: BrowserContext) -> None:
    _, page = await at_the_passkey(flagged, context)
    await page.set_viewport_size({"width": 360, "height": 800})
    await script(page)
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 360
