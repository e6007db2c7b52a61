"""Bots as files over the API."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.http.test_bad_input import refused
from zapwire.api.v1.transfer import LARGEST
from zapwire.vault import bundle

SECRET = "correct horse battery"


async def linked(api: Api) -> bytes:
    """A linked bot's bundle, made by a move."""
    await api.connected("shop")
    status, headers, content = await api.raw("POST", "/v1/bots/shop/export", json={"passphrase": SECRET, "move": True})
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert headers["Content-Disposition"] == 'attachment; filename="shop.zapwire"'
    assert headers["Cache-Control"] == "no-store"
    return content


async def test_out_and_back_in(api: Api):
    content = await linked(api)
    assert (await api.call("GET", "/v1/bots/shop"))["code"] == "moved"
    body = {"bundle": base64.b64encode(content).decode(), "passphrase": SECRET}
    problem = await refused(api, "POST", "/v1/bots/import", {**body, "passphrase": "not the right one"})
    assert (problem["status"], problem["field"]) == (422, "passphrase")
    problem = await refused(api, "POST", "/v1/bots/import", {**body, "id": "../x"})
    assert problem["status"] in {409, 422}
    bot = await api.call("POST", "/v1/bots/import", body)
    assert (bot["id"], bot["name"], bot["code"]) == ("shop", "shop", None)


MANIFEST: dict[str, Any] = {
    "version": 1,
    "id": "shop",
    "name": "x",
    "autostart": True,
    "phone": "+4915100000001",
    "lid": None,
    "push_name": None,
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b"[" * 100_000,
        *(json.dumps({**MANIFEST, **bad}).encode() + b"\n" for bad in ({"id": 5}, {"name": None}, {"phone": 1})),
        *(
            json.dumps({**MANIFEST, **bad}).encode() + b"\n"
            for bad in ({"version": 2}, {"proxy": 7}, {"name": "\ud800"})
        ),
    ],
)
async def test_a_bundle_that_somebody_made_up(api: Api, content: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle, "_derive", lambda *_: (b"k" * 32, b"c" * 16))
    body = {"bundle": base64.b64encode(bundle.pack(SECRET, content)).decode(), "passphrase": SECRET}
    problem = await refused(api, "POST", "/v1/bots/import", body)
    assert (problem["status"], problem["field"]) in {(422, "bundle"), (422, "name")}
    assert (await api.call("GET", "/v1/bots"))["bots"] == []


async def test_a_made_up_id_is_refused_like_any_other(api: Api):
    for bot in ("../x", "/etc/x", "A", "", "a" * 64, "x\0"):
        content = json.dumps({**MANIFEST, "id": bot}).encode() + b"\nstate"
        body = {"bundle": base64.b64encode(bundle.pack(SECRET, content)).decode(), "passphrase": SECRET}
        assert (await refused(api, "POST", "/v1/bots/import", body))["field"] == "id"
        assert (await refused(api, "POST", "/v1/bots/import", {**body, "id": bot}))["field"] == "id"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"bundle": "!!", "passphrase": SECRET}, "bundle"),
        ({"bundle": base64.b64encode(b"junk").decode(), "passphrase": SECRET}, "bundle"),
        ({"bundle": base64.b64encode(bundle.MAGIC).decode(), "passphrase": SECRET}, "bundle"),
        ({"bundle": ""}, "passphrase"),
    ],
)
async def test_what_is_no_bundle(api: Api, body: dict[str, str], field: str):
    problem = await refused(api, "POST", "/v1/bots/import", body)
    assert (problem["status"], problem["field"]) == (422, field)
    assert (await api.call("GET", "/v1/bots"))["bots"] == []


async def test_what_cannot_be_exported(api: Api):
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    problem = await refused(api, "POST", "/v1/bots/shop/export", {"passphrase": SECRET})
    assert (problem["status"], problem["code"]) == (409, "conflict")
    problem = await refused(api, "POST", "/v1/bots/shop/export", {"passphrase": "short"})
    assert (problem["status"], problem["field"]) == (422, "passphrase")
    assert (await refused(api, "POST", "/v1/bots/nobody/export", {"passphrase": SECRET}))["status"] == 404


def large(size: int) -> dict[str, Any]:
    body = io.BytesIO(json.dumps({"bundle": "A" * size, "passphrase": SECRET}).encode())
    return {"data": body, "headers": {"Content-Type": "application/json"}}


async def test_a_bundle_may_be_larger_than_other_bodies_but_not_boundless(api: Api):
    problem = await refused(api, "POST", "/v1/bots/import", **large(2 << 20))
    assert (problem["status"], problem["field"]) == (422, "bundle")
    problem = await refused(api, "POST", "/v1/bots/import", **large(65 << 20))
    assert (problem["status"], problem["code"], str(LARGEST) in problem["detail"]) == (413, "body-too-large", True)
