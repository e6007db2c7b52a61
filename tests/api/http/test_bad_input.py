"""Bad input: a problem document that names the field, and nothing half created."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import TOKEN, Api
from zapwire.api.http import errors
from zapwire.api.http.models import Problem

PHONE = "+4915100000002"


async def refused(api: Api, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
    if body is not None:
        options["json"] = body
    status, headers, content = await api.raw(method, path, **options)
    assert status >= 400
    assert headers["Content-Type"].startswith("application/problem+json")
    problem = Problem.model_validate_json(content)
    assert problem.status == status
    assert problem.code in errors.CODES
    assert problem.detail
    return problem.model_dump()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "Not a slug"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "../../etc"}, "id"),
        ({"id": "a" * 64}, "id"),
        ({"id": 7}, "id"),
        ({"id": "shop", "autostart": "yes"}, "autostart"),
        ({"id": "shop", "colour": "red"}, "colour"),
        ([], None),
    ],
)
async def test_a_bad_bot_is_refused_and_not_created(api: Api, body: Any, field: str | None) -> None:
    problem = await refused(api, "POST", "/v1/bots", body)
    assert (problem["status"], problem["code"], problem["field"]) == (422, "invalid-input", field)
    assert (await api.call("GET", "/v1/bots"))["bots"] == []


async def test_an_id_that_is_taken_is_a_conflict(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    problem = await refused(api, "POST", "/v1/bots", {"id": "shop"})
    assert (problem["status"], problem["field"]) == (409, "id")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/bots/nobody", None),
        ("PATCH", "/v1/bots/nobody", {"name": "x"}),
        ("DELETE", "/v1/bots/nobody", None),
        ("POST", "/v1/bots/nobody/connect", None),
        ("POST", "/v1/bots/nobody/disconnect", None),
        ("POST", "/v1/bots/nobody/restart", None),
        ("POST", "/v1/bots/nobody/logout", None),
        ("GET", "/v1/bots/nobody/qr", None),
        ("GET", "/v1/bots/%2e%2e%2fzapwire/qr", None),
        ("POST", "/v1/bots/nobody/qr/refresh", None),
        ("POST", "/v1/bots/nobody/pairing-code", {"phone": PHONE}),
        ("POST", "/v1/bots/nobody/messages", {"to": PHONE, "text": "hi"}),
        ("GET", "/v1/bots/nobody/messages/msg_1", None),
        ("GET", "/v1/webhooks/whk_1", None),
        ("PATCH", "/v1/webhooks/whk_1", {"enabled": False}),
        ("DELETE", "/v1/webhooks/whk_1", None),
    ],
)
async def test_what_does_not_exist_is_404(api: Api, method: str, path: str, body: Any) -> None:
    problem = await refused(api, method, path, body)
    assert problem["code"] == "not-found"
    assert problem["field"] == next(name for name in ("message", "webhook", "bot") if f"/{name}s/" in path)


async def test_an_unknown_path_or_method_is_a_problem_too(api: Api) -> None:
    assert (await refused(api, "GET", "/v2/bots"))["code"] == "no-such-path"
    status, headers, _ = await api.raw("PUT", "/v1/bots")
    assert (status, set(headers["Allow"].split(","))) == (405, {"GET", "HEAD", "POST"})


@pytest.mark.parametrize("text", ["{", "", "not json", '{"id": "shop"', "\xff"])
async def test_what_is_not_json_is_400(api: Api, text: str) -> None:
    problem = await refused(
        api, "POST", "/v1/bots", data=text.encode("latin-1"), headers={"Content-Type": "application/json"}
    )
    assert (problem["status"], problem["code"]) == (400, "malformed-json")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_another_content_type_is_415(api: Api, kind: str) -> None:
    problem = await refused(api, "POST", "/v1/bots", data=b'{"id": "shop"}', headers={"Content-Type": kind})
    assert (problem["status"], problem["code"]) == (415, "unsupported-media-type")
    assert (await api.call("GET", "/v1/bots"))["bots"] == []


async def test_an_oversized_body_is_413(api: Api) -> None:
    problem = await refused(api, "POST", "/v1/bots", {"id": "shop", "name": "x" * 5000})
    assert (problem["status"], problem["code"]) == (413, "body-too-large")
    assert (await api.call("GET", "/v1/bots"))["bots"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "hi"}, "to"),
        ({"to": PHONE}, "text"),
        ({"to": "12", "text": "hi"}, "to"),
        ({"to": "someone", "text": "hi"}, "to"),
        ({"to": "1@example.org", "text": "hi"}, "to"),
        ({"to": PHONE, "text": ""}, "text"),
        ({"to": PHONE, "text": 5}, "text"),
    ],
)
async def test_a_bad_message_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    problem = await refused(api, "POST", "/v1/bots/shop/messages", body)
    assert (problem["status"], problem["field"]) == (422, field)
    assert (await api.call("GET", "/v1/events?types=message.status"))["events"] == []


async def test_an_unknown_type_of_message_is_not_supported(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    problem = await refused(api, "POST", "/v1/bots/shop/messages", {"to": PHONE, "type": "hologram", "text": "hi"})
    assert problem["code"] in {"not-supported", "invalid-input"}


@pytest.mark.parametrize("phone", ["", "hello", "+49", "+999999999999999999"])
async def test_a_bad_phone_is_refused(api: Api, phone: str) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    problem = await refused(api, "POST", "/v1/bots/shop/pairing-code", {"phone": phone})
    assert (problem["status"], problem["field"]) == (422, "phone")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/bots/shop/qr?wait=soon", "wait"),
        ("/v1/bots/shop/qr?wait=-1", "wait"),
        ("/v1/bots/shop/qr?wait=nan", "wait"),
        ("/v1/events?after=x", "after"),
        ("/v1/events?after=-1", "after"),
        ("/v1/events?after=99999999999999999999", "after"),
        ("/v1/events?limit=0", "limit"),
        ("/v1/events?types=no.such", "types"),
        ("/v1/events?afetr=5", "afetr"),
    ],
)
async def test_a_bad_parameter_is_named(api: Api, path: str, field: str) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    problem = await refused(api, "GET", path)
    assert (problem["status"], problem["field"]) == (422, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "http://127.0.0.1:9/", "events": ["no.such"]}, "events"),
        ({"url": "http://127.0.0.1:9/", "events": "*"}, "events"),
        ({}, "url"),
    ],
)
async def test_a_bad_webhook_is_refused_and_not_created(api: Api, body: dict[str, Any], field: str) -> None:
    problem = await refused(api, "POST", "/v1/webhooks", body)
    assert (problem["status"], problem["field"]) == (422, field)
    assert (await api.call("GET", "/v1/webhooks"))["webhooks"] == []


async def raw_request(api: Api, *lines: bytes, body: bytes = b"") -> bytes:
    """The status line of the answer to these very bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    writer.write(b"\r\n".join([*lines, b"Connection: close", b"", body]))
    try:
        async with asyncio.timeout(10):
            return (await reader.read()).partition(b"\r\n")[0]
    finally:
        writer.close()


GET = b"GET /v1/bots HTTP/1.1"
POST = b"POST /v1/bots HTTP/1.1"
AUTH = f"Authorization: Bearer {TOKEN}".encode()


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        ([GET, b"Host: localhost", b"Authorization: Bearer \xff\xfe"], b"", 401),
        ([GET, b"Host: localhost", b"X-Api-Key: \xc3\xa4"], b"", 401),
        ([GET, b"Host: [::1", AUTH], b"", 421),
        ([GET, b"Host: \xff", AUTH], b"", 421),
        ([POST, b"Host: localhost", AUTH, b"Origin: http://[::1"], b"", 403),
        (
            [POST, b"Host: localhost", AUTH, b"Content-Type: application/json", b"Content-Encoding: gzip",
             b"Content-Length: 12"],
            b'{"id": "no"}',
            400,
        ),
        ([b"GET /v1/events HTTP/1.1", b"Host: localhost", AUTH, b"Upgrade: websocket"], b"", 400),
    ],
)  # fmt: skip
async def test_bytes_that_make_no_sense_are_the_callers_fault(
    api: Api, lines: list[bytes], body: bytes, status: int
) -> None:
    assert (await raw_request(api, *lines, body=body)).startswith(f"HTTP/1.1 {status} ".encode())


async def test_what_a_path_takes_is_told(api: Api) -> None:
    problem = await refused(api, "PUT", "/v1/bots")
    assert (problem["status"], problem["detail"]) == (405, "this path does not know that method, only GET, HEAD, POST")


async def test_several_faults_are_all_told(api: Api) -> None:
    problem = await refused(api, "POST", "/v1/bots", {"id": 7, "name": 8})
    assert [fault["field"] for fault in problem["errors"]] == ["id", "name"]


async def test_a_fault_of_ours_is_a_bare_500(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(api.core.bots, "list", fail)
    problem = await refused(api, "GET", "/v1/bots")
    assert (problem["status"], problem["code"]) == (500, "internal-error")
    assert "secret" not in str(problem)
    assert "secret of the house" in caplog.text


async def test_an_idempotency_key_with_another_body_is_refused(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    key = {"headers": {"Idempotency-Key": '"k1"'}}
    first = await api.call("POST", "/v1/bots/shop/messages", {"to": PHONE, "text": "hi"}, **key)
    bare = {"headers": {"Idempotency-Key": "k1"}}
    again = await api.call("POST", "/v1/bots/shop/messages", {"to": PHONE, "text": "hi"}, **bare)
    assert again["id"] == first["id"]
    problem = await refused(api, "POST", "/v1/bots/shop/messages", {"to": PHONE, "text": "ho"}, **key)
    assert (problem["status"], problem["code"]) == (422, "idempotency-mismatch")


async def test_many_bad_requests_at_once_break_nothing(api: Api) -> None:
    await asyncio.gather(*(refused(api, "POST", "/v1/bots", {"id": f"BAD {n}"}) for n in range(50)))
    assert (await api.call("GET", "/readyz"))["status"] == "ready"
