"""The browser extension that answers WhatsApp's question to a passkey, as a file to load into a browser."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

from zapwire.api.http.routing import Access, Route

FILES: Final = ("manifest.json", "worker.js")
"""Of the folder `browser_extension`, as a browser reads them: what runs is what stands here."""
_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest moment that a zip can name."""


@cache
def package() -> bytes:
    """The extension as a zip, with one folder in it; the same bytes on every machine."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in FILES:
            entry = zipfile.ZipInfo(f"zapwire-passkey/{name}", _FIRST_DAY)
            entry.create_system = 3  # Unix, whatever made it
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files("zapwire.api.ui").joinpath("browser_extension", name).read_bytes())
    return made.getvalue()


async def serve(_: web.Request) -> web.Response:
    """`GET /extension.zip`."""
    headers = {
        "Content-Disposition": 'attachment; filename="zapwire-passkey-extension.zip"',
        "Cache-Control": "no-cache",
    }
    return web.Response(body=package(), content_type="application/zip", headers=headers)


ROUTE: Final = Route("GET", "/extension.zip", serve, "The browser extension", access=Access.PUBLIC, documented=False)
