"""Messages that are sent later, taken back, or too late; and what a caller notes with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.test_kinds import MESSAGES, Talk, talk
from tests.harness.chat import CONTACT_NUMBER, arrived

__all__ = ["talk"]
TO = f"+{CONTACT_NUMBER}"


def later(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


async def test_what_a_caller_notes_comes_back_with_each_event(talk: Talk) -> None:
    notes = {"client_ref": "order-77", "metadata": {"agent": "Ana", "tags": [1, None, True]}}
    answer, _ = await talk.send(text="hello", **notes)
    assert {name: answer[name] for name in notes} == notes
    async with talk.daemon.events("message.status", after=0) as events:
        step = await events.until(lambda e: e["data"]["id"] == answer["id"] and e["data"]["state"] == "delivered")
    assert {name: step["data"][name] for name in notes} == notes
    deep: Any = {}
    for _ in range(9):
        deep = {"x": deep}
    for bad in ({"client_ref": ""}, {"client_ref": "x" * 257}, {"metadata": deep}, {"metadata": {"x": "y" * 5000}}):
        assert (await talk.refused(422, text="x", **bad))["field"] in {"client_ref", "metadata"}
    stored = b"".join(one.read_bytes() for one in (talk.daemon.folder / "sessions").glob("zapwire.db*"))
    assert b"order-77" not in stored


async def test_a_scheduled_message_holds_up_no_other_and_goes_at_its_time(talk: Talk) -> None:
    waiting = await talk.daemon.call("POST", MESSAGES, {"to": TO, "text": "later", "send_at": later(hours=2)})
    assert (waiting["state"], waiting["send_at"] is not None) == ("queued", True)
    await talk.send(text="now")
    moved = await talk.daemon.call("PATCH", f"{MESSAGES}/{waiting['id']}", {"send_at": later(seconds=1)})
    assert moved["send_at"] < waiting["send_at"]
    await arrived(talk.contact, "later")
    done = await talk.daemon.call("GET", f"{MESSAGES}/{waiting['id']}", wait=10)
    assert (done["state"] in {"sent", "delivered"}, done["send_at"]) == (True, None)
    status, problem = await talk.daemon.ask("PATCH", f"{MESSAGES}/{waiting['id']}", {"send_at": later(hours=1)})
    assert (status, problem["code"]) == (409, "conflict")
    for bad in ({"send_at": later(days=400)}, {"deadline": later(hours=-1)}):
        assert (await talk.refused(422, text="x", **bad))["field"] in bad


async def test_a_schedule_outlives_a_restart(talk: Talk) -> None:
    waiting = await talk.daemon.call("POST", MESSAGES, {"to": TO, "text": "after", "send_at": later(seconds=4)})
    await talk.daemon.kill()
    await talk.daemon.start()
    await arrived(talk.contact, "after")
    assert (await talk.daemon.call("GET", f"{MESSAGES}/{waiting['id']}", wait=10))["whatsapp_id"]


async def test_what_is_queued_can_be_taken_back(talk: Talk) -> None:
    waiting = await talk.daemon.call("POST", MESSAGES, {"to": TO, "text": "no", "send_at": later(seconds=3)})
    gone = await talk.daemon.call("DELETE", f"{MESSAGES}/{waiting['id']}")
    assert gone["state"] == "cancelled"
    again, problem = await talk.daemon.ask("DELETE", f"{MESSAGES}/{waiting['id']}")
    assert (again, problem["code"]) == (409, "conflict")
    after = await talk.daemon.call("POST", MESSAGES, {"to": TO, "text": "yes", "send_at": later(seconds=4)})
    await arrived(talk.contact, "yes")
    texts = [one.get("text") for one in (await talk.contact.call("GET", "/inbox"))["messages"]]
    assert "no" not in texts
    status, problem = await talk.daemon.ask("DELETE", f"{MESSAGES}/{after['id']}")
    assert (status, problem["code"]) == (409, "conflict")


async def test_what_is_too_late_expires(talk: Talk) -> None:
    await talk.daemon.call("POST", "/v1/bots/shop/disconnect")
    await talk.daemon.until_state("shop", "stopped")
    late = await talk.daemon.call("POST", MESSAGES, {"to": TO, "text": "late", "deadline": later(seconds=1)})
    async with talk.daemon.events("message.status", after=0) as events:
        step = await events.until(lambda e: e["data"]["id"] == late["id"] and e["data"]["state"] != "queued", 90)
    assert step["data"]["state"] == "expired"
    await talk.daemon.call("POST", "/v1/bots/shop/connect")
    await talk.daemon.until_state("shop", "connected")
    _, again = await talk.daemon.ask("POST", f"{MESSAGES}/{late['id']}/resend", once="again")
    assert (again["resend_of"], again["content"]) == (late["id"], late["content"])
    await arrived(talk.contact, "late")
    _, repeated = await talk.daemon.ask("POST", f"{MESSAGES}/{late['id']}/resend", once="again")
    assert repeated["id"] == again["id"]
    status, problem = await talk.daemon.ask("POST", f"{MESSAGES}/{again['id']}/resend")
    assert (status, problem["code"], problem["field"]) == (409, "conflict", "message")
