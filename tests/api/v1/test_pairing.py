"""QR codes in all their forms, and pairing codes."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import pytest
from PIL import Image

from tests.api.conftest import Api
from zapwire.api.v1 import qr_images
from zapwire.api.v1.schemas.pairing import PairingCode, Qr

CODE = "2@ref,noise,identity,secret"


async def test_json_is_the_default_and_holds_an_image(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    found = Qr.model_validate(await api.call("GET", "/v1/bots/shop/qr?wait=5"))
    assert (found.code, found.attempt) == (CODE, 1)
    kind, _, data = found.image.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == qr_images.png(CODE)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/plain", "text/plain"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("text/html, image/*;q=0.8, */*;q=0.1", "image/png"),
        ("image/png;q=0, image/svg+xml", "image/svg+xml"),
        ("image/png;q=0.2, text/plain;q=0.9", "text/plain"),
    ],
)
async def test_accept_chooses_the_form(api: Api, accept: str, kind: str) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    status, headers, _ = await api.raw("GET", "/v1/bots/shop/qr?wait=5", headers={"Accept": accept})
    assert (status, headers["Content-Type"].split(";")[0], headers["Vary"]) == (200, kind, "Accept")


async def test_each_form_holds_the_code(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    _, headers, text = await api.raw("GET", "/v1/bots/shop/qr?wait=5", headers={"Accept": "text/plain"})
    assert text.decode() == CODE
    assert headers["X-Qr-Attempt"] == "1"
    assert headers["Cache-Control"] == "no-store"
    _, _, png = await api.raw("GET", "/v1/bots/shop/qr", headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(png)) as image:
        width, height = image.size
    assert width == height >= 200
    _, _, svg = await api.raw("GET", "/v1/bots/shop/qr", headers={"Accept": "image/svg+xml"})
    assert b"<svg" in svg


async def test_no_form_that_we_have_is_406(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    status, _, body = await api.raw("GET", "/v1/bots/shop/qr", headers={"Accept": "image/webp"})
    problem = json.loads(body)
    assert (status, problem["code"], problem["field"]) == (406, "not-acceptable", "Accept")


async def test_without_a_code_to_show_it_is_409_and_says_what_to_do(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "idle", "autostart": False})
    status, problem = await api.ask("GET", "/v1/bots/idle/qr?wait=5")
    assert (status, problem["code"]) == (409, "conflict")
    assert "connect" in problem["detail"]
    await api.connected("shop")
    status, problem = await api.ask("GET", "/v1/bots/shop/qr?wait=5")
    assert (status, problem["code"]) == (409, "conflict")
    assert "connected" in problem["detail"]


async def test_a_request_may_come_before_the_code(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    await api.call("POST", "/v1/bots/shop/connect")
    answers = await asyncio.gather(*(api.call("GET", "/v1/bots/shop/qr?wait=5") for _ in range(5)))
    assert {answer["code"] for answer in answers} == {CODE}


async def test_a_pairing_code(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    made = await api.call("POST", "/v1/bots/shop/pairing-code", {"phone": "+49 151 00000001"})
    assert PairingCode.model_validate(made).code == "ABCD-EFGH"


async def test_a_refresh_starts_over_unless_the_bot_is_linked(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    assert (await api.ask("POST", "/v1/bots/shop/qr/refresh"))[0] == 202
    await api.connected("other")
    assert (await api.ask("POST", "/v1/bots/other/qr/refresh"))[0] == 409
