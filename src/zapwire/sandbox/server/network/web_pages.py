"""WhatsApp's web page, as far as libraries ask for it: the service worker that names the client's newest revision."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from zapwire.sandbox.server.state.faults import Faults

HUGE: Final = 10 * 1024 * 1024
"""Bytes of an answer that is far too large."""


class WebPages:
    """Handlers; *faults* say what the page answers."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def service_worker(self, _: web.Request) -> web.StreamResponse:
        """`GET /sw.js`: the part from which libraries read the client's revision, written as there."""
        page = self._faults.web_page
        match page.answer:
            case "login-page":
                return web.Response(text="<!DOCTYPE html><title>WhatsApp Web</title>", content_type="text/html")
            case "huge":
                return web.Response(text=" " * HUGE + _script(page.revision), content_type="text/javascript")
            case "error":
                return web.Response(status=503, text="try again later")
            case "redirect":
                return web.Response(status=302, headers={"Location": "https://elsewhere.invalid/sw.js"})
            case "hang":
                await asyncio.Event().wait()
        return web.Response(text=_script(page.revision), content_type="text/javascript")


def _script(revision: int) -> str:
    data = f'{{\\"server_revision\\":{revision},\\"client_revision\\":{revision}}}'
    return f'self.__swData=JSON.parse("{{\\"dynamic_data\\":{{\\"SiteData\\":{data}}}}}");\n'
