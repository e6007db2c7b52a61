"""Linking an account that demands a passkey, as a program does it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.api.conftest import Api, open_api
from tests.core.scripted import qr
from tests.harness.scripted import CODE, ORIGIN, STEPS, PasskeyTransport
from zapwire.api.v1.schemas.bots import Bot
from zapwire.api.v1.schemas.pairing import PasskeyQuestion, VerificationCode
from zapwire.model.errors import PairingTimedOut
from zapwire.model.pairing import PairingStep

PATH = "/v1/bots/shop/passkey"


@pytest_asyncio.fixture
async def flagged(tmp_path: Path) -> AsyncIterator[Api]:
    """The API over accounts that demand a passkey."""
    async for one in open_api(tmp_path, kind=PasskeyTransport):
        yield one


async def asked(api: Api, **manners: Any) -> tuple[PasskeyTransport, dict[str, Any]]:
    """A bot whose code was scanned, and what WhatsApp asks."""
    api.transports.manners |= manners
    await api.call("POST", "/v1/bots", {"id": "shop"})
    await api.call("GET", "/v1/bots/shop/qr?wait=5")
    transport = api.transport("shop")
    assert isinstance(transport, PasskeyTransport)
    transport.scan()
    return transport, await api.call("GET", f"{PATH}?wait=5")


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def answered(question: dict[str, Any], origin: str = ORIGIN, *, verified: bool = True) -> dict[str, Any]:
    """What a browser's `credential.toJSON()` gives; nothing here looks at the signature."""
    client = {"type": "webauthn.get", "challenge": question["challenge"], "origin": origin, "crossOrigin": False}
    return {
        "id": "Y3JlZA",
        "rawId": "Y3JlZA",
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": {
            "clientDataJSON": base64url(json.dumps(client).encode()),
            "authenticatorData": base64url(bytes(32) + bytes([5 if verified else 1]) + bytes(4)),
            "signature": "c2lnbmF0dXJl",
            "userHandle": None,
        },
    }


async def test_a_program_links_an_account_that_demands_a_passkey(flagged: Api) -> None:
    transport, found = await asked(flagged, compares=True)
    asks = PasskeyQuestion.model_validate(found)
    assert (asks.origin, asks.question["rpId"], asks.question["timeout"]) == (ORIGIN, "whatsapp.com", 600000)
    bot = await flagged.call("GET", "/v1/bots/shop")
    Bot.model_validate(bot)
    assert (bot["state"], bot["pairing"]["step"], bot["code"]) == ("pairing", "passkey", None)
    assert bot["pairing"]["expires_at"] == asks.expires_at
    assert bot["reason"] == "WhatsApp wants the passkey of this account"
    assert {"passkey", "refresh-qr", "disconnect"} <= {*bot["actions"]}
    assert not {"passkey-confirm", "pairing-code"} & {*bot["actions"]}

    status, bot = await flagged.ask("POST", PATH, {"answer": answered(asks.question)})
    assert (status, bot["pairing"]["step"]) == (202, "compare")
    assert "passkey-confirm" in bot["actions"]
    kept = transport.answers[0]
    assert {*kept} == {"id", "rawId", "type", "response"}, "what a browser adds is not handed on"
    code = VerificationCode.model_validate(await flagged.call("GET", PATH))
    assert (code.code, code.needed) == (CODE, True)
    status, bot = await flagged.ask("POST", f"{PATH}/confirm", {"code": CODE.lower().replace("-", "")})
    assert (status, bot["pairing"]["step"]) == (202, "phone")
    assert not VerificationCode.model_validate(await flagged.call("GET", PATH)).needed
    transport.accepted.set()
    page = await flagged.call("GET", "/v1/events?after=0&wait=5")
    while all(event["data"].get("state") != "connected" for event in page["events"]):
        page = await flagged.call("GET", "/v1/events?after=0&wait=1")
    assert (await flagged.call("GET", "/v1/bots/shop"))["pairing"] is None
    steps = [event["data"]["step"] for event in page["events"] if event["type"] == "bot.passkey"]
    assert steps == ["passkey", "compare", "phone"]
    for event in page["events"]:
        assert asks.question["challenge"] not in json.dumps(event)
        assert CODE not in json.dumps(event)


async def test_who_waits_is_told_as_soon_as_whatsapp_asks(flagged: Api) -> None:
    await flagged.call("POST", "/v1/bots", {"id": "shop"})
    waiting = asyncio.create_task(flagged.call("GET", f"{PATH}?wait=30"))
    await flagged.call("GET", "/v1/bots/shop/qr?wait=5")
    flagged.transport("shop").scan()
    assert (await waiting)["origin"] == ORIGIN


async def test_without_a_question_it_is_409_and_says_why(flagged: Api) -> None:
    await flagged.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    for path, words in ((PATH, "connect it first"), (f"{PATH}?wait=5", "connect it first")):
        status, problem = await flagged.ask("GET", path)
        assert (status, problem["code"]) == (409, "conflict")
        assert words in problem["detail"]
    await flagged.call("POST", "/v1/bots/shop/connect")
    await flagged.call("GET", "/v1/bots/shop/qr?wait=5")
    status, problem = await flagged.ask("GET", PATH)
    assert (status, "has not asked" in problem["detail"]) == (409, True)
    answer = {"answer": answered({"challenge": "AAAA"})}
    assert (await flagged.ask("POST", PATH, answer))[0] == 409
    assert (await flagged.ask("POST", f"{PATH}/confirm", {"code": CODE}))[0] == 409


async def test_a_transport_that_cannot_is_501(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "shop"})
    answer = {"answer": answered({"challenge": "AAAA"})}
    assert (await api.ask("GET", PATH))[0] == 501
    assert (await api.ask("POST", PATH, answer))[0] == 501
    assert (await api.ask("POST", f"{PATH}/confirm", {"code": CODE}))[0] == 501


async def test_a_code_that_was_taken_is_no_longer_shown(flagged: Api) -> None:
    await asked(flagged)
    for method, path, body in (
        ("GET", "/v1/bots/shop/qr?wait=5", None),
        ("POST", "/v1/bots/shop/pairing-code", {"phone": "+4915123456789"}),
    ):
        status, problem = await flagged.ask(method, path, body)
        assert status == 409
        assert "a phone has taken the code already: WhatsApp wants the passkey" in problem["detail"]


async def test_an_answer_that_cannot_be_it_is_told_and_the_right_one_then_works(flagged: Api) -> None:
    _, found = await asked(flagged)
    question = found["question"]
    for answer, status, words in (
        (answered(question, "https://example.com"), 422, "was used on https://example.com instead of web.whatsapp.com"),
        (answered(question, verified=False), 422, "without PIN, face or finger"),
        (answered({"challenge": "AAAA"}), 409, "older question"),
        ({**answered(question), "response": {**answered(question)["response"], "clientDataJSON": "e30"}}, 422, "not"),
    ):
        got, problem = await flagged.ask("POST", PATH, {"answer": answer})
        assert (got, words in problem["detail"]) == (status, True), problem
        assert question["challenge"] not in json.dumps(problem)
    assert (await flagged.ask("POST", PATH, {"answer": answered(question)}))[0] == 202


async def test_what_whatsapp_refuses_is_502_and_a_new_question_follows(flagged: Api) -> None:
    _, found = await asked(flagged, refusals=1)
    status, problem = await flagged.ask("POST", PATH, {"answer": answered(found["question"])})
    assert (status, problem["code"]) == (502, "passkey-refused")
    again = await flagged.call("GET", PATH)
    assert again["question"]["challenge"] != found["question"]["challenge"]
    assert (await flagged.ask("POST", PATH, {"answer": answered(found["question"])}))[0] == 409
    assert (await flagged.ask("POST", PATH, {"answer": answered(again["question"])}))[0] == 202
    events = (await flagged.call("GET", "/v1/events?types=bot.passkey"))["events"]
    assert [event["data"]["step"] for event in events] == ["passkey", "passkey", "phone"]


@pytest.mark.parametrize("code", [None, "ZZZZ-9999"])
async def test_codes_that_differ_end_everything_and_nothing_is_linked(flagged: Api, code: str | None) -> None:
    transport, found = await asked(flagged, compares=True)
    await flagged.call("POST", PATH, {"answer": answered(found["question"])})
    status, problem = await flagged.ask("POST", f"{PATH}/confirm", {"code": code})
    assert (status, "Nothing was linked" in problem["detail"]) == (409, True)
    current = flagged.core.bots.get("shop").current
    while current.status.pairing is not None:
        await current.changed.wait()
    bot = await flagged.call("GET", "/v1/bots/shop")
    assert (bot["state"], bot["code"], bot["phone"], bot["pairing"]) == ("blocked", "codes-differ", None, None)
    assert bot["restriction"] is None, "it is none of WhatsApp's"
    assert "Nothing was linked" in bot["reason"]
    assert not transport.linked


async def test_time_that_is_up_is_told(flagged: Api) -> None:
    transport, found = await asked(flagged)
    transport.end(PairingTimedOut("nobody answered", action="connect it again"))
    current = flagged.core.bots.get("shop").current
    while current.status.pairing is not None:
        await current.changed.wait()
    status, problem = await flagged.ask("POST", PATH, {"answer": answered(found["question"])})
    assert (status, "timed out" in problem["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"\xff\xfe", 400),
        (b"[" * 30_000, 400),
        (b'{"answer": ' * 5_000, 400),
        (b'{"answer": null}', 422),
        (b'{"answer": []}', 422),
        (b'{"answer": {"response": {}}}', 422),
        (b'{"answer": "{}"}', 422),
        (json.dumps({"answer": {**answered({"challenge": "A"}), "id": 7}}).encode(), 422),
        (json.dumps({"answer": {**answered({"challenge": "A"}), "type": "password"}}).encode(), 422),
        (json.dumps({"answer": {**answered({"challenge": "A"}), "id": "A" * 9000}}).encode(), 422),
        (json.dumps({"answer": answered({"challenge": "A"}), "more": 1}).encode(), 422),
        (b'{"answer": "' + b"A" * 70_000 + b'"}', 413),
    ],
)
async def test_a_body_that_is_no_answer_is_refused_and_not_repeated(flagged: Api, body: bytes, status: int) -> None:
    await asked(flagged)
    headers = {"Content-Type": "application/json"}
    got, _, problem = await flagged.raw("POST", PATH, data=body, headers=headers)
    assert got == status
    assert len(problem) < 1000
    assert flagged.transport("shop").step is PairingStep.PASSKEY


async def test_only_one_answer_is_handed_in_at_a_time(flagged: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = await asked(flagged)
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slow(*_: Any) -> None:
        began.set()
        await may_end.wait()

    monkeypatch.setattr(PasskeyTransport, "answer_passkey", slow)
    first = asyncio.create_task(flagged.ask("POST", PATH, {"answer": answered(found["question"])}))
    await began.wait()
    status, problem = await flagged.ask("POST", PATH, {"answer": answered(found["question"])})
    assert (status, "being handed in" in problem["detail"]) == (409, True)
    may_end.set()
    assert (await first)[0] == 202


async def test_what_the_pairing_says_about_scanning_stays_over_new_codes(flagged: Api) -> None:
    transport, _ = await asked(flagged)
    await transport.go(PairingStep.SCAN)
    assert (await flagged.ask("GET", "/v1/bots/shop/qr"))[0] == 409, "the old code is not shown again"
    for attempt in (1, 2):
        assert transport.emit is not None
        await transport.emit(qr(attempt))
        bot = await flagged.call("GET", "/v1/bots/shop")
        assert (bot["pairing"]["step"], bot["reason"], bot["action"]) == ("scan", *STEPS[PairingStep.SCAN])
    assert (await flagged.call("GET", "/v1/bots/shop/qr"))["attempt"] == 2
    states = [event["data"]["pairing"] for event in (await flagged.call("GET", "/v1/events?types=bot.state"))["events"]]
    assert [state and state["step"] for state in states] == [None, "scan", "passkey", "scan"], (
        "a new code is no new state"
    )


async def test_a_restart_waits_for_who_is_at_it(flagged: Api) -> None:
    assert not flagged.core.bots.any_at_passkey()
    await asked(flagged)
    assert flagged.core.bots.any_at_passkey()
    await flagged.call("POST", "/v1/bots/shop/disconnect")
    assert not flagged.core.bots.any_at_passkey()


async def test_a_restart_of_the_daemon_in_the_middle_begins_again_at_the_scan(tmp_path: Path) -> None:
    async for before in open_api(tmp_path, kind=PasskeyTransport):
        _, found = await asked(before)
    async for after in open_api(tmp_path, kind=PasskeyTransport):
        assert (await after.call("GET", "/v1/bots/shop/qr?wait=5"))["attempt"] == 1
        assert (await after.call("GET", "/v1/bots/shop"))["pairing"]["step"] == "scan"
        status, problem = await after.ask("POST", PATH, {"answer": answered(found["question"])})
        assert (status, problem["code"]) == (409, "conflict")
        after.transport("shop").scan()
        again = await after.call("GET", f"{PATH}?wait=5")
        assert (await after.ask("POST", PATH, {"answer": answered(again["question"])}))[0] == 202
