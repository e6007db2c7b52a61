"""The admin API and the page over real HTTPS."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from zapwire.sandbox.running import RunningSandbox, running_sandbox

ANA, BOB = "4915100000001", "4915100000002"


class Admin:
    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http = http
        self.base = base

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.request(method, self.base + path, **content, **options) as answer:
            text = await answer.text()
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json"
            return answer.status, (await answer.json(content_type=None) if text else None)

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer = await self.ask(method, path, body, **options)
        assert status < 300, answer
        return answer


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest_asyncio.fixture
async def admin(sandbox: RunningSandbox) -> AsyncIterator[Admin]:
    trust = ssl.create_default_context(cafile=sandbox.descriptor["ca"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http:
        yield Admin(http, sandbox.descriptor["admin"])


@pytest_asyncio.fixture
async def two(admin: Admin) -> None:
    await admin.call("POST", "/phones", {"phone": ANA, "push_name": "Ana"})
    await admin.call("POST", "/phones", {"phone": BOB})


async def test_phones_are_created_once_and_listed(admin: Admin):
    status, ana = await admin.ask("POST", "/phones", {"phone": f"+{ANA}", "push_name": "Ana"})
    assert (status, ana["phone"], ana["devices"]) == (201, ANA, [0])
    status, again = await admin.ask("POST", "/phones", {"phone": ANA})
    assert (status, again) == (200, ana)
    assert (await admin.call("GET", "/phones"))["phones"] == [ana]
    assert await admin.call("GET", f"/phones/{ANA}") == ana


async def test_numbers_are_taken_as_people_write_them(admin: Admin):
    status, made = await admin.ask("POST", "/phones", {"phone": "+55 11 99876-5432", "push_name": "Bia"})
    assert (status, made["phone"]) == (201, "5511998765432")
    await admin.call("POST", "/phones", {"phone": BOB})
    await admin.call("POST", f"/phones/{BOB}/send", {"to": "+55 (11) 99876-5432", "text": "oi"})
    page = await admin.call("GET", "/phones/5511998765432/inbox", params={"wait": 10})
    assert page["messages"][0]["text"] == "oi"


async def test_a_reader_waits_for_the_next_message(admin: Admin, two: None):
    waiting = asyncio.create_task(admin.call("GET", f"/phones/{BOB}/inbox", params={"after": 0, "wait": 20}))
    await admin.call("POST", f"/phones/{BOB}/typing", {"to": ANA})
    sent = await admin.call("POST", f"/phones/{ANA}/send", {"to": BOB, "text": "hello"})
    page = await waiting
    assert [(m["id"], m["text"], m["from"]) for m in page["messages"]] == [(sent["id"], "hello", ANA)]
    assert await admin.call("GET", f"/phones/{BOB}/inbox", params={"after": page["next"]}) == {
        "messages": [],
        "next": page["next"],
    }
    assert await admin.call("POST", f"/phones/{BOB}/read") == {"marked": 1}
    log = await admin.call("GET", f"/phones/{ANA}/log", params={"kinds": "receipt", "after": 3, "wait": 10})
    assert log["entries"][-1]["receipt"] in {"delivered", "read"}


async def test_a_protobuf_without_its_required_fields_is_refused(admin: Admin, two: None):
    message = Message(extendedTextMessage={"text": "look", "endCardTiles": [{}]})
    broken = message.SerializePartialToString()
    status, problem = await admin.ask(
        "POST", f"/phones/{ANA}/send", {"to": BOB, "protobuf": base64.b64encode(broken).decode()}
    )
    assert (status, problem["detail"][:32]) == (422, "protobuf lacks required fields: ")


@pytest.mark.parametrize(
    "message",
    [b"\x0a\x03\xff\xfe\xfd", Message(locationMessage={"degreesLatitude": float("nan")}).SerializeToString()],
    ids=["a text that is no UTF-8", "a number that JSON does not know"],
)
async def test_an_odd_message_does_not_end_the_reading(admin: Admin, two: None, message: bytes):
    await admin.call("POST", f"/phones/{ANA}/send", {"to": BOB, "protobuf": base64.b64encode(message).decode()})
    page = await admin.call("GET", f"/phones/{BOB}/inbox", params={"wait": 10})
    assert len(page["messages"]) == 1


async def test_a_group_through_the_api(admin: Admin, two: None):
    group = (await admin.call("POST", f"/phones/{ANA}/groups", {"subject": "Lunch", "members": [BOB]}))["group"]
    await admin.call("POST", f"/phones/{ANA}/send", {"to": group, "text": "who is in?"})
    page = await admin.call("GET", f"/phones/{BOB}/inbox", params={"wait": 10})
    assert page["messages"][0]["chat"] == group
    assert (await admin.call("GET", f"/phones/{BOB}/groups"))["groups"][0]["subject"] == "Lunch"
    code = (await admin.call("GET", f"/phones/{ANA}/groups/{group}/invite"))["code"]
    await admin.call("POST", f"/phones/{BOB}/groups/{group}/leave")
    assert await admin.call("POST", f"/phones/{BOB}/groups/join", {"code": code}) == {"group": group}
    await admin.call("POST", f"/phones/{ANA}/groups/{group}/subject", {"subject": "Dinner"})
    await admin.call("POST", f"/phones/{ANA}/groups/{group}/promote", {"members": [BOB]})
    info = await admin.call("GET", f"/phones/{ANA}/groups/{group}")
    assert (info["subject"], info["admins"]) == ("Dinner", [ANA, BOB])
    assert (await admin.ask("GET", f"/phones/{ANA}/groups/1@s.whatsapp.net"))[0] == 422


async def test_files_picture_presence_and_blocks(admin: Admin, two: None):
    media = {"kind": "image", "data": base64.b64encode(b"jpeg").decode(), "caption": "look"}
    sent = await admin.call("POST", f"/phones/{ANA}/send", {"to": BOB, "media": media})
    await admin.call("GET", f"/phones/{BOB}/inbox", params={"wait": 10})
    async with admin.http.get(f"{admin.base}/phones/{BOB}/messages/{sent['id']}/file") as answer:
        assert await answer.read() == b"jpeg"
        assert answer.headers["Content-Disposition"] == "attachment"
    await admin.call("PUT", f"/phones/{ANA}/picture", b"\xff\xd8")
    await admin.call("POST", f"/phones/{ANA}/presence", {"available": True})
    await admin.call("POST", f"/phones/{ANA}/block", {"phone": BOB})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/phones/4915199999999", None, 404, "no virtual phone"),
        ("POST", "/phones", {"phone": "abc"}, 422, "5 to 15 digits"),
        ("POST", "/phones", {}, 422, "phone"),
        ("POST", "/phones", {"phone": BOB, "colour": "red"}, 422, "colour"),
        ("POST", "/phones", b"not JSON", 422, "JSON"),
        ("POST", f"/phones/{ANA}/send", {"to": BOB}, 422, "exactly one"),
        ("POST", f"/phones/{ANA}/send", {"to": BOB, "text": "a", "delete": "b"}, 422, "exactly one"),
        ("POST", f"/phones/{ANA}/send", {"to": BOB, "protobuf": "/////w=="}, 422, "waE2E.Message"),
        ("POST", f"/phones/{ANA}/send", {"to": "4915199999999", "text": "a"}, 404, "not on WhatsApp"),
        ("POST", f"/phones/{ANA}/scan", {"qr": "nonsense"}, 422, "QR code"),
        ("POST", f"/phones/{ANA}/enter-code", {"code": "ABCD-1234"}, 409, "no client waits"),
        ("POST", f"/phones/{ANA}/typing", {"to": BOB, "state": "dancing"}, 409, "dancing|composing"),
        ("GET", f"/phones/{ANA}/inbox?wait=9999", None, 422, "wait"),
        ("DELETE", f"/phones/{ANA}/devices/7", None, 404, "device 7"),
        ("DELETE", f"/phones/{ANA}/devices/x", None, 422, "number"),
        ("POST", "/mock-phone/scan-qr", b"nonsense", 422, "QR code"),
        ("POST", "/faults", {"kind": "earthquake"}, 422, "earthquake|kind|tag"),
        ("POST", "/faults", {"kind": "message-error", "code": 42}, 422, "code"),
        ("GET", "/trace", None, 422, "direction"),
    ],
)
async def test_errors_are_problems(admin: Admin, two: None, method: str, path: str, body: Any, status: int, words: str):
    got, problem = await admin.ask(method, path, body)
    assert got == status, problem
    assert problem["status"] == status
    assert any(word in problem["detail"] for word in words.split("|")), problem


async def test_another_sites_page_is_refused(admin: Admin):
    status, _ = await admin.ask("POST", "/phones", {"phone": ANA}, headers={"Origin": "https://evil.invalid"})
    assert status == 403
    assert (await admin.call("GET", "/phones"))["phones"] == []
    own = admin.base.removesuffix("/admin")
    await admin.call("POST", "/phones", {"phone": ANA}, headers={"Origin": own})


async def test_faults_statistics_and_trace(admin: Admin, sandbox: RunningSandbox, two: None):
    faults = sandbox.world.faults
    await admin.call("POST", "/faults", {"kind": "refuse"})
    await admin.call("POST", "/faults", {"kind": "freeze", "phone": ANA})
    await admin.call("POST", "/faults", {"kind": "failure", "reason": 402, "code": 101, "expire": 60, "phone": ANA})
    assert faults.refusing
    assert faults.is_frozen(ANA)
    assert not faults.is_frozen(BOB)
    failure = faults.login_failure(ANA, 0)
    assert failure is not None
    assert {"reason": "402", "code": "101", "expire": "60"}.items() <= failure.node().attrs.items()
    await admin.call("POST", "/faults", {"kind": "thaw", "phone": ANA})
    assert not faults.is_frozen(ANA)
    assert await admin.call("POST", "/faults", {"kind": "drop"}) == {"hit": 0}
    assert await admin.call("POST", "/faults", {"kind": "stream-error", "code": 503}) == {"hit": 0}
    await admin.call("POST", "/faults", {"kind": "clear"})
    assert not faults.refusing
    assert faults.login_failure(ANA, 0) is None
    await admin.call("POST", f"/phones/{ANA}/send", {"to": BOB, "text": "hello"})
    statistics = await admin.call("GET", "/statistics")
    assert statistics["received"]["message text"] == 1
    assert statistics["unhandled"] == {}
    assert await admin.call("GET", "/trace", params={"direction": "in"}) == {"stanzas": []}


async def test_the_page_and_its_files_are_served_with_a_policy(admin: Admin):
    base = admin.base.removesuffix("/admin")
    for path in ("/", "/page/phones.js", "/page/api.js", "/page/chats.js", "/page/phones.css"):
        async with admin.http.get(base + path) as answer:
            assert answer.status == 200
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert "http" not in (await answer.text()).replace("http-equiv", "")
