"""Events of a real run are as the catalogue says; the examples in the documentation are taken from one.

RECORD_EVENTS=1 writes docs/event-examples.md again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox
from zapwire.api.v1.schemas.events import EVENTS
from zapwire.model.events import EventType

EXAMPLES = Path(__file__).parents[2] / "docs" / "event-examples.md"
ELSEWHERE = {
    EventType.MESSAGE_UNDECRYPTABLE,
    EventType.BOT_UNHEALTHY,
    EventType.BOT_HEALTHY,
    EventType.BOT_PASSKEY,
    EventType.DAEMON_ALERT,
    EventType.WEBHOOK_GAP,
}
"""What takes a fault or a week; tests of their own make them."""


async def test_a_real_run_tells_what_the_catalogue_says(daemon: Daemon, sandbox: Sandbox, receiver: Receiver) -> None:
    contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
    hook = await daemon.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
    await daemon.call("POST", f"/v1/webhooks/{hook['id']}/test")
    told: list[dict[str, Any]] = [(await receiver.next()).json()]
    await linked_bot(daemon, sandbox)
    await contact.send(BOT_NUMBER, "are you open?")
    await receiver.next()
    answer = await daemon.send("shop", CONTACT_NUMBER, "until eight", wait=10)
    await arrived(contact, "until eight")
    await contact.read()
    async with daemon.events("message.status", after=0) as events:
        await events.until(lambda event: event["data"]["id"] == answer["id"] and event["data"]["state"] == "read")
    poll = {"to": f"+{CONTACT_NUMBER}", "type": "poll", "question": "When?", "options": ["now", "later"]}
    asked = await daemon.call("POST", "/v1/bots/shop/messages", poll, wait=10)
    first = await contact.send(BOT_NUMBER, "tomorow?")
    await receiver.next()
    await contact.say(BOT_NUMBER, edit={"id": first, "text": "tomorrow?"})
    await contact.say(BOT_NUMBER, delete=first)
    await contact.say(BOT_NUMBER, reaction={"id": answer["whatsapp_id"], "emoji": "x"})
    async with daemon.events("message.reaction", after=0) as events:
        await events.next()
    await contact.say(BOT_NUMBER, vote={"id": asked["whatsapp_id"], "options": ["now"]})
    async with daemon.events("poll.voted", after=0) as events:
        await events.next()
    receiver.status = 410
    await contact.send(BOT_NUMBER, "and tomorrow?")
    async with daemon.events("webhook.disabled", after=0) as events:
        await events.next()
    await daemon.call("POST", "/v1/bots", {"id": "short-lived", "autostart": False})
    await daemon.call("DELETE", "/v1/bots/short-lived")
    told += (await daemon.call("GET", "/v1/events", limit=1000))["events"]
    for event in told:
        EVENTS[EventType(event["type"])].model_validate(event)
    found = {EventType(event["type"]): event for event in told}
    assert set(found) == set(EventType) - ELSEWHERE
    if os.environ.get("RECORD_EVENTS"):
        record(found)


def record(found: dict[EventType, dict[str, Any]]) -> None:
    """Write the examples again; of the types that were not there the old ones stay."""
    text = EXAMPLES.read_text()
    for kind, event in found.items():
        begin = text.index(f"## {kind.value}\n")
        start = text.index("```json\n", begin) + 8
        text = text[:start] + json.dumps(event, ensure_ascii=False, indent=2) + text[text.index("\n```", start) :]
    EXAMPLES.write_text(text)
