"""The browser extension in a real Chromium: from our page to WhatsApp's and back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.async_api import BrowserContext, Page, Worker, async_playwright, expect

from tests.api.conftest import FLAGS, Api
from tests.api.ui.test_passkey_page import at_the_passkey, flagged
from tests.api.ui.whatsapp_page import DOCUMENT, HEADERS, Passkey, add_authenticator
from tests.harness.scripted import CODE
from zapwire.api.ui import extension
from zapwire.sandbox.server.state.certificate_authority import Authority

__all__ = ["flagged"]

TAKEN_OVER = """
    const real = navigator.credentials.get.bind(navigator.credentials);
    navigator.credentials.get = (options) => { navigator.sendBeacon("/seen"); return real(options); };
"""
"""What a password manager does to pages."""


async def test_it_is_served_as_a_zip_of_the_same_bytes_each_time(api: Api) -> None:
    _, headers, first = await api.raw("GET", "/extension.zip", headers={"Authorization": ""})
    assert headers["Content-Type"] == "application/zip"
    extension.package.cache_clear()
    assert first == extension.package()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["zapwire-passkey/manifest.json", "zapwire-passkey/worker.js"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_has_the_least_rights() -> None:
    with zipfile.ZipFile(io.BytesIO(extension.package())) as archive:
        manifest = json.loads(archive.read("zapwire-passkey/manifest.json"))
        worker = archive.read("zapwire-passkey/worker.js").decode()
    assert manifest["manifest_version"] == 3
    assert manifest["permissions"] == ["activeTab", "scripting"]
    assert manifest["host_permissions"] == ["https://web.whatsapp.com/*"]
    assert not {"content_scripts", "externally_connectable", "web_accessible_resources"} & {*manifest}
    for word in ("fetch", "XMLHttpRequest", "WebSocket", "storage", "token=", "eval", "innerHTML"):
        assert word not in worker, "it knows no server, keeps nothing and runs nothing foreign"


@asynccontextmanager
async def whatsapp(asked: list[str], ready: asyncio.Semaphore) -> AsyncIterator[tuple[int, str]]:
    """A server for https://web.whatsapp.com: its port, and the hash of its key. Each tab that is *ready* releases once.

    Playwright does not intercept what a tab asks for that an extension opens.
    """

    async def serve(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/own.js":  # the page is not loaded before its tab has an authenticator; ours was the first
            await ready.acquire()
            await ready.acquire()
            return web.Response(text=TAKEN_OVER, content_type="text/javascript")
        text = DOCUMENT + '<script src="/own.js"></script>'
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    authority = Authority.generate()
    key = x509.load_pem_x509_certificate(authority.certificate).public_key()
    public = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server_context("web.whatsapp.com"))
        await site.start()
        pin = base64.b64encode(hashlib.sha256(public).digest()).decode()
        yield runner.addresses[0][1], pin
    finally:
        await runner.cleanup()


@asynccontextmanager
async def browser_with_extension(
    chromium: str, folder: Path, passkey: Passkey | None
) -> AsyncIterator[tuple[BrowserContext, Worker, list[str]]]:
    """A browser with the extension, its worker, and what is asked of WhatsApp's page.

    A click on its button, which no test can make, gives it the right to the tab in front; here the manifest does.
    """
    with zipfile.ZipFile(io.BytesIO(extension.package())) as archive:
        archive.extractall(folder)
    unpacked = folder / "zapwire-passkey"
    manifest = json.loads((unpacked / "manifest.json").read_text())
    manifest["host_permissions"].append("http://127.0.0.1/*")
    (unpacked / "manifest.json").write_text(json.dumps(manifest))
    asked: list[str] = []
    ready = asyncio.Semaphore(0)

    async def prepare(tab: Page) -> None:
        await add_authenticator(tab, passkey)
        ready.release()

    async with whatsapp(asked, ready) as (port, pin), async_playwright() as driver:
        flags = [
            *FLAGS,
            f"--disable-extensions-except={unpacked}",
            f"--load-extension={unpacked}",
            "--disable-features=DisableLoadExtensionCommandLineSwitch",
            f"--host-resolver-rules=MAP web.whatsapp.com:443 127.0.0.1:{port}",
            f"--ignore-certificate-errors-spki-list={pin}",
        ]
        context = await driver.chromium.launch_persistent_context(
            folder / "profile", executable_path=chromium, args=flags, ignore_default_args=["--disable-extensions"]
        )
        context.set_default_timeout(15_000)
        workers = context.service_workers
        worker = workers[0] if workers else await context.wait_for_event("serviceworker")
        prepared: list[asyncio.Task[None]] = []
        context.on("page", lambda tab: prepared.append(asyncio.ensure_future(prepare(tab))))
        yield context, worker, asked
        await asyncio.gather(*prepared, return_exceptions=True)
        await context.close()


async def click(worker: Worker) -> None:
    """The extension's button, on the tab in front; returns once all is done."""
    async with asyncio.timeout(30):
        await worker.evaluate(
            "async () => answer((await chrome.tabs.query({ active: true, lastFocusedWindow: true }))[0].id)"
        )


async def test_a_click_answers_on_whatsapps_page_and_hands_in(flagged: Api, chromium: str, tmp_path: Path) -> None:
    passkey = Passkey()
    async with browser_with_extension(chromium, tmp_path / "x", passkey) as (context, worker, asked):
        closed: list[str] = []
        context.on("page", lambda tab: tab.on("close", lambda gone: closed.append(gone.url)))
        transport, page = await at_the_passkey(flagged, context, compares=True)
        page.on("dialog", lambda dialog: dialog.accept())
        await page.bring_to_front()
        await expect(page.get_by_label("The script")).not_to_have_value("")
        await click(worker)
        await expect(page.get_by_role("heading", name="Compare the codes")).to_be_visible()
        await expect(page.locator("#passkey-code-text")).to_have_text(CODE)
        assert passkey.verifies(transport.answers[0])
        assert {*transport.answers[0]} == {"id", "rawId", "type", "response"}
        assert asked[0] == "/robots.txt", "no WhatsApp runs there"
        assert "/seen" in asked, "password managers take over what pages call, not what extensions call"
        assert closed == ["https://web.whatsapp.com/robots.txt"]


async def test_a_person_is_asked_whether_the_page_is_theirs(flagged: Api, chromium: str, tmp_path: Path) -> None:
    async with browser_with_extension(chromium, tmp_path / "x", Passkey()) as (context, worker, asked):
        transport, page = await at_the_passkey(flagged, context)
        await page.bring_to_front()
        await expect(page.get_by_label("The script")).not_to_have_value("")
        async with page.expect_event("dialog") as shown:
            clicked = asyncio.ensure_future(click(worker))
        dialog = await shown.value
        assert dialog.message.startswith(f"{flagged.url} ")
        assert "Is this your own zapwire?" in dialog.message
        await dialog.dismiss()
        await clicked
        assert (asked, transport.answers, len(context.pages)) == ([], [], 2)


async def test_without_a_passkey_the_page_says_so(flagged: Api, chromium: str, tmp_path: Path) -> None:
    async with browser_with_extension(chromium, tmp_path / "x", None) as (context, worker, _):
        transport, page = await at_the_passkey(flagged, context)
        page.on("dialog", lambda dialog: dialog.accept())
        await page.bring_to_front()
        await expect(page.get_by_label("The script")).not_to_have_value("")
        await click(worker)
        await expect(page.locator("#notice")).to_contain_text("The passkey was not used")
        assert transport.answers == []


async def test_on_a_page_without_a_question_nothing_is_opened(api: Api, chromium: str, tmp_path: Path) -> None:
    async with browser_with_extension(chromium, tmp_path / "x", None) as (context, worker, asked):
        page = context.pages[0]
        await page.goto(f"{api.url}/")
        await page.bring_to_front()
        await click(worker)
        badge = await worker.evaluate(
            "async () => chrome.action.getBadgeText({ tabId: (await chrome.tabs.query({ active: true }))[0].id })"
        )
        assert (badge, asked, len(context.pages)) == ("none", [], 1)
