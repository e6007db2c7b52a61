"""Media: where clients upload and download, and the encrypted files themselves.

Source: whatsmeow's mediaconn.go, upload.go and download.go. Files are named by the hash of their encrypted bytes; the
server never has their keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from aiohttp import web

from zapwire.sandbox.server.context import Context
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.hosts import is_whatsapp
from zapwire.sandbox.server.replies import QueryError
from zapwire.sandbox.server.state.media_store import DOWNLOADS, MediaFull, token_of
from zapwire.wire.node import Node

MAX_FILE: Final = 128 * 1024 * 1024
TTL_SECONDS: Final = 300


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


def routes(world: Context) -> list[web.RouteDef]:
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
        web.get(DOWNLOADS + "/{token}", download),
    ]


def _is_hash_of(text: str, data: bytes) -> bool:
    try:
        asked = base64.urlsafe_b64decode(_plain(text) + "==")
    except binascii.Error:
        return False
    return hmac.compare_digest(asked, hashlib.sha256(data).digest())
