"""Media: where clients upload and download, and the encrypted files themselves.

Source: whatsmeow's mediaconn.go, upload.go and download.go. Files are named by the hash of their encrypted bytes; the
server never has their keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import web

from zapwire.sandbox.caller import Caller, QueryError
from zapwire.sandbox.node import Node
from zapwire.sandbox.proxy import is_whatsapp

if TYPE_CHECKING:
    from zapwire.sandbox.world import World

MAX_FILE: Final = 128 * 1024 * 1024
MAX_STORED: Final = 512 * 1024 * 1024
TTL_SECONDS: Final = 300
_PATH: Final = "/v/t62"


class MediaFull(Exception):
    """The sandbox keeps no more files."""


class MediaStore:
    """Encrypted files by the hash of their bytes, in memory; the oldest make room for new ones."""

    def __init__(self) -> None:
        self.auth = secrets.token_urlsafe(24)
        self._files: dict[str, bytes] = {}
        self._size = 0

    def add(self, data: bytes) -> str:
        """Keep a file; gives the path to download it from. Raises MediaFull when it alone is too large."""
        if len(data) > MAX_STORED:
            raise MediaFull
        token = token_of(data)
        if token not in self._files:
            self._files[token] = data
            self._size += len(data)
        while self._size > MAX_STORED:
            self._size -= len(self._files.pop(next(iter(self._files))))
        return f"{_PATH}/{token}?ccb=11-4&oh=sandbox&oe=7FFFFFFF&_nc_sid=sandbox"

    def get(self, token: str) -> bytes | None:
        """The file with this hash."""
        return self._files.get(token)

    def files(self) -> dict[str, bytes]:
        """All files by the hash of their bytes, oldest first."""
        return dict(self._files)


def token_of(data: bytes) -> str:
    """The URL-safe base64 of the SHA-256 of a file, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _plain(token: str) -> str:
    # Clients disagree about padding and alphabet; one form is compared.
    return token.replace("+", "-").replace("/", "_").rstrip("=")


async def _media_conn(caller: Caller, iq: Node) -> list[Node]:
    if iq.child("media_conn") is None:
        raise QueryError(400, "bad-request")
    # The address that this client dialled: it can reach that one, through its proxy or directly.
    host = getattr(caller.device.endpoint, "host", caller.world.media_host)
    kinds = [Node("download", {}, []), Node("upload", {}, [])]
    hosts = [Node("host", {"hostname": host, "type": "primary", "class": "mms"}, kinds)]
    times = {"ttl": str(TTL_SECONDS), "auth_ttl": str(TTL_SECONDS), "max_buckets": "12"}
    return [Node("media_conn", {"auth": caller.world.media.auth, **times}, hosts)]


QUERIES = {"w:m set": _media_conn, "w:m get": _media_conn}


def routes(world: World) -> list[web.RouteDef]:
    """The HTTP side: upload, download, delete."""
    store = world.media

    async def upload(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.query.get("auth", ""), store.auth):
            return web.json_response({"error": "wrong auth"}, status=401)
        data = await request.read()
        if token_of(data) != _plain(request.match_info["token"]):
            return web.json_response({"error": "the token is not the hash of the file"}, status=400)
        try:
            path = store.add(data)
        except MediaFull:
            return web.json_response({"error": "too large"}, status=413)
        # A client behind the proxy dials WhatsApp's names, which mean something else to those who get the message.
        host = world.media_host if is_whatsapp(request.url.host or "") else request.host
        return web.json_response({"url": f"https://{host}{path}", "direct_path": path, "handle": "sandbox"})

    async def download(request: web.Request) -> web.Response:
        world.statistics.count(world.statistics.received, "media download")
        data = store.get(_plain(request.match_info["token"]))
        if data is None:
            return web.Response(status=404)
        asked = request.query.get("hash")
        if asked is not None and not _is_hash_of(asked, data):
            return web.Response(status=403)
        return web.Response(body=data, content_type="application/octet-stream")

    async def delete(request: web.Request) -> web.Response:
        world.statistics.count(world.statistics.received, "media delete")
        if not hmac.compare_digest(request.query.get("auth", ""), store.auth):
            return web.json_response({"error": "wrong auth"}, status=401)
        return web.Response(status=200)  # the sandbox keeps it: other devices may still want it

    return [
        web.post("/mms/{kind}/{token}", upload),
        web.delete("/mms/{kind}/{token}", delete),
        web.get(_PATH + "/{token}", download),
    ]


def _is_hash_of(text: str, data: bytes) -> bool:
    try:
        asked = base64.urlsafe_b64decode(_plain(text) + "==")
    except binascii.Error:
        return False
    return hmac.compare_digest(asked, hashlib.sha256(data).digest())
