"""The OpenAPI document is as strict as the code: whatever it forbids is refused, with the field at fault."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.api.conftest import Api, open_api
from zapwire.api import routes
from zapwire.api.http import errors, openapi
from zapwire.api.v1.schemas.events import EVENTS
from zapwire.core.messages.content import sendable
from zapwire.model.content.kinds import MEDIA as MEDIA_KINDS
from zapwire.model.events import EventType

PHONE = "+4915100000002"
PASSPHRASE = "a long enough passphrase"
DOCUMENT = openapi.document(routes.API, EVENTS)
GOOD: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/bots"): {"autostart": False},
    ("PATCH", "/v1/bots/{bot}"): {},
    ("POST", "/v1/bots/{bot}/export"): {"passphrase": PASSPHRASE},
    ("POST", "/v1/bots/import"): {"bundle": "eA==", "passphrase": PASSPHRASE},
    ("POST", "/v1/bots/{bot}/pairing-code"): {"phone": PHONE},
    ("POST", "/v1/bots/{bot}/passkey"): {
        "answer": {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"},
        }
    },
    ("POST", "/v1/bots/{bot}/passkey/confirm"): {"code": "ABCD-2345"},
    ("POST", "/v1/bots/{bot}/messages"): {"to": PHONE, "text": "hi"},
    ("PATCH", "/v1/bots/{bot}/messages/{message}"): {"send_at": "2026-01-01T00:00:00Z"},
    ("POST", "/v1/bots/{bot}/messages/{message}/forward"): {"to": PHONE},
    ("PATCH", "/v1/bots/{bot}/pacing"): {"new_chats_per_day": 5},
    ("POST", "/v1/webhooks"): {"url": "http://127.0.0.1:9/"},
    ("PATCH", "/v1/webhooks/{webhook}"): {},
    ("POST", "/v1/webhooks/{webhook}/rotate-secret"): {},
    ("POST", "/v1/webhooks/{webhook}/replay"): {"dead": True},
}
"""A body that each call takes."""
SEND = ("POST", "/v1/bots/{bot}/messages")
ABOUT = {"message_id": "msg_1"}
MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"text": "hi"},
    "location": {"latitude": 52.5, "longitude": 13.4},
    "contact": {"contacts": [{"name": "Ana", "phones": [PHONE]}]},
    "group_invite": {"group": "1@g.us", "name": "Us", "code": "abc"},
    "poll": {"question": "When?", "options": ["now", "later"]},
    "poll_vote": {**ABOUT, "options": ["now"]},
    "list": {"text": "Choose", "sections": [{"rows": [{"id": "1", "title": "One"}]}]},
    "buttons": {"text": "Choose", "buttons": [{"id": "1", "title": "One"}]},
    "event": {"name": "Party", "starts_at": "2030-01-01T00:00:00Z"},
    "reaction": {**ABOUT, "emoji": "x"},
    "edit": {**ABOUT, "text": "ho"},
    "delete": ABOUT,
    "pin": ABOUT,
    "keep": ABOUT,
}
"""A body of each type of message."""
TOO_LARGE = 1 << 63
JSON = "application/json"
for _kind in sorted(MEDIA_KINDS):
    MESSAGES[_kind] = {"media": {"id": "med_1"}}


@dataclass(frozen=True)
class Wrong:
    """A value that the document forbids."""

    method: str
    path: str
    place: str
    """body, query or header."""
    name: str
    value: Any
    why: str
    kind: str | None = None
    """The `type` of a body that may have several."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.kind or ''} {self.name} {self.why}"


def schema_of(schema: dict[str, Any]) -> dict[str, Any]:
    """With references and `or null` resolved, constraints of the union included."""
    if "$ref" in schema:
        return schema_of(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        # beside a boolean, a value of another type is as wrong as it is without
        (one,) = [
            part for part in schema["anyOf"] if part.get("type") not in {"null", "boolean"} or "$ref" in part
        ] or [part for part in schema["anyOf"] if part.get("type") != "null"]
        return {**schema_of(one), **{name: value for name, value in schema.items() if name != "anyOf"}}
    return schema


def violations(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values that the schema forbids, one for each constraint."""
    schema = schema_of(schema)
    match schema.get("type"):
        case "string":
            yield from texts(schema)
        case "integer" | "number":
            if "minimum" in schema:
                yield "minimum", schema["minimum"] - 1
            if "maximum" in schema:
                yield "maximum", schema["maximum"] + 1
            yield from (("far away", number) for number in (TOO_LARGE, -TOO_LARGE - 1, 10**30))
        case "array":
            if schema.get("minItems"):
                yield "minItems", []
            yield from ((f"items {why}", [value]) for why, value in violations(schema.get("items", {})))
        case "object":
            if "maxProperties" in schema:
                yield "maxProperties", {f"X-{n}": "a" for n in range(schema["maxProperties"] + 1)}
            if "propertyNames" in schema:
                yield "propertyNames", {"not a name": "a"}


def texts(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "minLength" in schema:
        yield "minLength", "a" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        beginning = "http://h:1/" if "://" in schema.get("pattern", "") else ""
        yield "maxLength", beginning + "a" * (schema["maxLength"] + 1 - len(beginning))
    if "pattern" in schema:
        yield from (("pattern", value) for value in ("\u00fc?", "\x01", "..", "a b\n", "-", "import@"))
    if "enum" in schema:
        yield "enum", "no-such-value"
    if "const" in schema:
        yield "const", "no-such-value"
    if schema.get("format") == "date-time":
        yield from (("format", value) for value in ("yesterday", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"))


def wrong() -> Iterator[Wrong]:
    """Of all calls."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            call = (method.upper(), path)
            for one in operation["parameters"]:
                if one["in"] != "path":
                    for why, value in violations(one["schema"]):
                        yield Wrong(*call, one["in"], one["name"], value, why)
            body = operation.get("requestBody")
            if body is not None and JSON in body["content"]:
                for kind, fields in bodies(body).items():
                    for name, schema in fields.items():
                        for why, value in violations(schema):
                            yield Wrong(*call, "body", name, value, why, kind)


def bodies(body: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    """The fields of each body that is taken, by its `type` where there are several."""
    schema = schema_of(body["content"][JSON]["schema"])
    if "oneOf" not in schema:
        return {None: schema["properties"]}
    fields = [schema_of(one)["properties"] for one in schema["oneOf"]]
    return {one["type"]["const"]: one for one in fields}


ALL = list(wrong())


def is_in_pattern(case: Wrong) -> bool:
    """Whether a value meant to break the pattern fits it after all."""
    schema, value = next(iter(find(case))), case.value
    if isinstance(value, list) and value:
        schema, value = schema_of(schema["items"]), value[0]
    return case.why.endswith("pattern") and re.search(schema["pattern"], value) is not None


def find(case: Wrong) -> Iterator[dict[str, Any]]:
    operation = DOCUMENT["paths"][case.path][case.method.lower()]
    if case.place == "body":
        yield schema_of(bodies(operation["requestBody"])[case.kind][case.name])
    yield from (schema_of(one["schema"]) for one in operation["parameters"] if one["name"] == case.name)


async def make(api: Api) -> dict[str, str]:
    """Something for each name in a path."""
    await api.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    hook = await api.call("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9/", "enabled": False})
    sent = await api.call("POST", "/v1/bots/shop/messages", {"to": PHONE, "text": "hi"})
    return {"bot": "shop", "webhook": hook["id"], "message": sent["id"], "event": "evt_1", "media": "med_1"}


async def attempt(api: Api, names: dict[str, str], case: Wrong) -> tuple[int, dict[str, Any]]:
    path, options = case.path.format(**names), {}
    if case.place == "query":
        value = ",".join(case.value) if isinstance(case.value, list) else str(case.value)
        path += "?" + urlencode({case.name: value}, quote_via=quote)
    elif case.place == "header":
        options["headers"] = {case.name: str(case.value)}
    if (case.method, case.path) in GOOD:
        body = GOOD[case.method, case.path]
        if case.kind is not None:
            body = {"to": PHONE, "type": case.kind, **MESSAGES[case.kind]}
        body = {**body, case.name: case.value} if case.place == "body" else body
        options["data"] = json.dumps(body)
        options["headers"] = {**options.get("headers", {}), "Content-Type": "application/json"}
    status, _, content = await api.raw(case.method, path, **options)
    return status, json.loads(content) if content else {}


async def test_whatever_the_document_forbids_is_refused_with_its_field(api: Api) -> None:
    names = await make(api)
    api.app._client_max_size = 1 << 20
    assert len(ALL) > 150
    failed = []
    for case in ALL:
        if is_in_pattern(case):
            continue
        if case.place == "header" and ("\n" in str(case.value) or "\x01" in str(case.value)):
            continue  # no header can hold that
        status, answer = await attempt(api, names, case)
        field = answer.get("field") or ""
        if status != 422 or answer["code"] not in errors.CODES or field.partition(".")[0] != case.name:
            failed.append(f"{case} {case.value!r:.40}: {status} {answer}")
    assert not failed, "\n".join(failed)


async def test_the_good_bodies_are_taken(api: Api) -> None:
    """Else the test above would prove nothing."""
    names = await make(api)
    for (method, path), body in GOOD.items():
        status, answer = await api.ask(method, path.format(**names), body)
        assert status < 300 or (path, answer.get("field")) in {
            ("/v1/bots/import", "bundle"),
            ("/v1/bots/{bot}/export", None),  # no account is linked
            ("/v1/bots/{bot}/pairing-code", None),  # it is stopped
            ("/v1/bots/{bot}/passkey", None),
            ("/v1/bots/{bot}/passkey/confirm", None),
            ("/v1/bots/{bot}/messages/{message}", "message"),  # it is not scheduled
        }, (method, path, answer)


def test_every_type_of_message_is_tried() -> None:
    assert {*bodies(DOCUMENT["paths"][SEND[1]]["post"]["requestBody"])} == {*MESSAGES} == {*sendable.SENDABLE}


@pytest.mark.parametrize("kind", sorted(MESSAGES))
async def test_the_good_messages_are_taken(api: Api, kind: str) -> None:
    names = await make(api)
    for body in ({"to": PHONE, "type": kind, **MESSAGES[kind]}, {"to": PHONE, "type": kind, **MESSAGES[kind], **ABOUT}):
        status, answer = await api.ask("POST", SEND[1].format(**names), body)
        if kind in MEDIA_KINDS:
            assert (status, answer["field"]) in {(404, "media.id"), (422, "message_id")}, answer
        elif "message_id" in body:  # nothing was received or sent that it could be about
            assert (status, answer["field"]) in {(404, "message_id"), (422, "message_id")}, answer
        else:
            assert status == 202, answer


async def test_every_call_that_takes_a_body_is_tried() -> None:
    taking = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if JSON in operation.get("requestBody", {}).get("content", {})
    }
    assert taking == set(GOOD)


@pytest.mark.parametrize("bundle", ["\u00fc", "\u00fc" * 4, "a", "====", "eA==\n", "e A =="])
async def test_a_bundle_that_is_no_base64_is_refused(api: Api, bundle: str) -> None:
    status, answer = await api.ask("POST", "/v1/bots/import", {"bundle": bundle, "passphrase": PASSPHRASE})
    assert (status, answer["field"]) == (422, "bundle")


@pytest.mark.parametrize("encoding", ["utf-8-sig"])
async def test_a_byte_order_mark_is_skipped(api: Api, encoding: str) -> None:
    status, _, _ = await api.raw(
        "POST", "/v1/bots", data='{"id": "shop"}'.encode(encoding), headers={"Content-Type": "application/json"}
    )
    assert status == 201


@pytest.mark.parametrize(
    ("origin", "host", "fits"),
    [
        ("https://localhost", "localhost:443", True),
        ("https://localhost:443", "localhost", True),
        ("http://localhost", "localhost:80", True),
        ("http://LOCALHOST:80", "localhost", True),
        ("https://localhost", "localhost:80", False),
        ("http://localhost:443", "localhost", False),
        ("https://localhost:8443", "localhost", False),
        ("https://localhost", "localhost:8443", False),
        ("https://", "localhost", False),
        ("null", "localhost", False),
    ],
)
async def test_a_port_that_goes_without_saying_may_be_said(api: Api, origin: str, host: str, fits: bool) -> None:
    headers = {"Origin": origin, "Host": host}
    status, answer = await api.ask("POST", "/v1/bots", {"autostart": False}, headers=headers)
    assert (status, answer.get("field")) == ((201, None) if fits else (403, "Origin"))


async def test_waiting_for_longer_than_a_minute_is_refused_everywhere(api: Api) -> None:
    await make(api)
    for path in ("/v1/bots/shop/qr", "/v1/events", "/v1/bots/shop/messages/msg_1"):
        status, answer = await api.ask("GET", f"{path}?wait=99")
        assert (status, answer["field"]) == (422, "wait")


async def test_a_call_is_not_taken_for_a_bot(api: Api) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        status, headers, _ = await api.raw(method, "/v1/bots/import")
        assert (status, headers["Allow"]) == (405, "POST")
    status, answer = await api.ask("POST", "/v1/bots", {"id": "import"})
    assert (status, answer["field"]) == (422, "id")
    await api.call("POST", "/v1/bots", {"id": "imports", "autostart": False})
    assert (await api.call("GET", "/v1/bots/imports"))["id"] == "imports"


async def test_as_many_bots_and_webhooks_as_the_settings_say(tmp_path: Path) -> None:
    hook = {"url": "http://127.0.0.1:9/"}
    async for api in open_api(tmp_path, max_bots=2, max_webhooks=2):
        for path, body in (("/v1/bots", {"autostart": False}), ("/v1/webhooks", hook)):
            made = await asyncio.gather(*(api.ask("POST", path, body) for _ in range(10)))
            assert sorted(status for status, _ in made) == [201] * 2 + [409] * 8
            refusal = next(answer for status, answer in made if status == 409)
            assert f"max_{path.rpartition('/')[2]}" in refusal["detail"]
            thing = next(answer["id"] for status, answer in made if status == 201)
            assert (await api.raw("DELETE", f"{path}/{thing}"))[0] == 204
            await api.call("POST", path, body)
        imported = {"bundle": "eA==", "passphrase": PASSPHRASE}
        assert (await api.ask("POST", "/v1/bots/import", imported))[0] == 409


async def test_a_webhook_for_a_bot_that_is_not_there_is_refused(api: Api) -> None:
    hook = {"url": "http://127.0.0.1:9/"}
    for bot in ("shop", "bar"):
        await api.call("POST", "/v1/bots", {"id": bot, "autostart": False})
    status, answer = await api.ask("POST", "/v1/webhooks", {**hook, "bots": ["shop", "nope"]})
    assert (status, answer["field"], "nope" in answer["detail"]) == (422, "bots", True)
    made = await api.call("POST", "/v1/webhooks", {**hook, "bots": ["shop", "bar"]})
    assert (await api.raw("DELETE", "/v1/bots/shop"))[0] == 204
    path = f"/v1/webhooks/{made['id']}"
    assert (await api.call("PATCH", path, {"bots": ["shop"]}))["bots"] == ["shop"], "it was there, and may come back"
    for bots in (["nope"], ["shop", "nope"]):
        assert (await api.ask("PATCH", path, {"bots": bots}))[1]["field"] == "bots"


async def test_secrets_go_only_to_webhooks_that_name_them(api: Api) -> None:
    async def wants(*events: str) -> set[str]:
        made = await api.call("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9/", "events": list(events)})
        endpoint = await api.core.endpoints.get(made["id"])
        return {kind.value for kind in EventType if endpoint.wants(kind.value, "")}

    everything = {kind.value for kind in EventType}
    assert await wants("*") == everything - {"bot.qr"}
    assert await wants("*", "bot.qr") == everything
    assert await wants("bot.*") == {kind for kind in everything if kind.startswith("bot.")} - {"bot.qr"}
    assert await wants("bot.qr") == {"bot.qr"}
