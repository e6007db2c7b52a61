"""Every kind of message that needs no file, both ways: through the real engine, field by field."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.core.scripted import eventually
from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, linked_bot
from tests.harness.daemon import Daemon, Events
from tests.harness.sandbox import Phone, Sandbox
from zapwire.transport.whatsapp_web.engine.protos import e2e

MESSAGES = "/v1/bots/shop/messages"


@dataclass
class Talk:
    """A bot and a contact of it."""

    daemon: Daemon
    sandbox: Sandbox
    own: Phone
    contact: Phone
    events: Events

    async def send(self, to: str = f"+{CONTACT_NUMBER}", *, by: Phone | None = None, **body: Any) -> tuple[Any, Any]:
        """Send through the API; the answer, and the message as it arrived."""
        answer = await self.daemon.call("POST", MESSAGES, {"to": to, **body}, wait=30)
        assert answer["whatsapp_id"], answer
        phone, after = by or self.contact, 0
        while True:
            page = await phone.call("GET", "/inbox", after=after, wait=30)
            assert page["messages"], f"{body} did not arrive"
            if any(entry.get("id") == answer["whatsapp_id"] for entry in page["messages"]):
                return answer, await phone.message(answer["whatsapp_id"])
            after = page["next"]

    async def refused(self, status: int, to: str = f"+{CONTACT_NUMBER}", **body: Any) -> Any:
        """Send what cannot be sent; the problem."""
        found, problem = await self.daemon.ask("POST", MESSAGES, {"to": to, **body})
        assert found == status, problem
        return problem

    async def receive(self, kind: str | None = None, **content: Any) -> Any:
        """Let the contact send; the event's data."""
        wanted = await self.contact.say(BOT_NUMBER, **content)
        event = await self.events.until(lambda e: e["type"] != "message.status" and e["data"]["id"] == wanted)
        assert kind is None or event["type"] == kind
        return event["data"]

    async def receive_raw(self, message: Any, kind: str | None = None) -> Any:
        """Let the contact send a waE2E.Message; the event's data."""
        return await self.receive(kind, protobuf=base64.b64encode(message.SerializeToString()).decode())


@pytest_asyncio.fixture
async def talk(daemon: Daemon, sandbox: Sandbox) -> AsyncIterator[Talk]:
    own = await linked_bot(daemon, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
    async with daemon.events("message.*", "poll.*") as events:
        yield Talk(daemon, sandbox, own, contact, events)


async def test_texts_with_all_that_they_can_have(talk: Talk) -> None:
    asked = await talk.receive(text="are you open?")
    _, got = await talk.send(text="until six", reply_to=asked["id"])
    context = got.extendedTextMessage.contextInfo
    assert (got.extendedTextMessage.text, context.stanzaID) == ("until six", asked["id"])
    assert context.quotedMessage.conversation == "are you open?"
    assert context.participant in {f"{CONTACT_NUMBER}@s.whatsapp.net", asked["sender"]["lid"]}
    answer, got = await talk.send(text=f"hello @{CONTACT_NUMBER}", mentions=[f"+{CONTACT_NUMBER}"])
    assert list(got.extendedTextMessage.contextInfo.mentionedJID) == [f"{CONTACT_NUMBER}@s.whatsapp.net"]
    assert answer["content"]["mentions"][0]["phone"] == f"+{CONTACT_NUMBER}"
    page = {"link": "https://example.com/x", "title": "A page", "description": "About x"}
    _, got = await talk.send(text="see https://example.com/x", preview=page)
    shown = got.extendedTextMessage
    assert (shown.matchedText, shown.title, shown.description) == tuple(page.values())
    answer, got = await talk.send(text="and to myself", reply_to=answer["id"])
    assert got.extendedTextMessage.contextInfo.quotedMessage.extendedTextMessage.text in {
        "",
        f"hello @{CONTACT_NUMBER}",
    }
    assert answer["content"]["quoted"]["text"] == f"hello @{CONTACT_NUMBER}"
    problem = await talk.refused(404, text="to what?", reply_to="3EB0NOTHING")
    assert problem["field"] == "reply_to"


async def test_places_contacts_invitations_events(talk: Talk) -> None:
    where = {
        "latitude": 52.52,
        "longitude": 13.405,
        "name": "Here",
        "address": "Street 1",
        "url": "https://example.com/",
    }
    _, got = await talk.send(type="location", **where)
    place = got.locationMessage
    assert (place.degreesLatitude, place.degreesLongitude) == (52.52, 13.405)
    assert (place.name, place.address, place.URL) == ("Here", "Street 1", "https://example.com/")
    live = {"latitude": 1.5, "longitude": -2, "live": True, "text": "on my way"}
    answer, got = await talk.send(type="location", **live)
    moving = got.liveLocationMessage
    assert (moving.degreesLatitude, moving.degreesLongitude, moving.caption) == (1.5, -2, "on my way")
    assert answer["content"]["live"] is True
    assert (await talk.refused(422, type="location", **live, name="Here"))["field"] == "name"
    assert (await talk.refused(422, type="location", latitude=1, longitude=2, text="x"))["field"] == "text"
    ana = {"name": "Ana; the, first", "phones": [f"+{CONTACT_NUMBER}"], "organization": "Shop"}
    _, got = await talk.send(type="contact", contacts=[ana])
    lines = got.contactMessage.vcard.split("\n")
    assert got.contactMessage.displayName == "Ana; the, first"
    assert "FN:Ana\\; the\\, first" in lines
    assert f"TEL;type=CELL;waid={CONTACT_NUMBER}:+{CONTACT_NUMBER}" in lines
    card = "BEGIN:VCARD\nVERSION:3.0\nFN:Bob\nEND:VCARD"
    _, got = await talk.send(type="contact", contacts=[ana, {"name": "Bob", "vcard": card}])
    assert [one.displayName for one in got.contactsArrayMessage.contacts] == ["Ana; the, first", "Bob"]
    assert got.contactsArrayMessage.contacts[1].vcard == card
    invite = {"group": "120363000000000001@g.us", "name": "Us", "code": "AbC", "text": "come in"}
    _, got = await talk.send(type="group_invite", **invite)
    told = got.groupInviteMessage
    assert (told.groupJID, told.groupName, told.inviteCode, told.caption) == (
        invite["group"], "Us", "AbC", "come in"
    )  # fmt: skip
    _, got = await talk.send(type="event", name="Party", starts_at="2030-01-01T20:00:00+01:00", place="Here")
    assert (got.eventMessage.name, got.eventMessage.startTime) == ("Party", 1893524400)
    assert got.eventMessage.location.name == "Here"
    assert len(got.messageContextInfo.messageSecret) == 32


async def test_messages_disappear_by_the_timer_of_their_chat(talk: Talk) -> None:
    _, got = await talk.send(text="stays")
    assert got.conversation == "stays"
    timed = e2e.ExtendedTextMessage(text="gone tomorrow", contextInfo=e2e.ContextInfo(expiration=86_400))
    await talk.receive_raw(
        e2e.Message(ephemeralMessage=e2e.FutureProofMessage(message=e2e.Message(extendedTextMessage=timed)))
    )
    _, got = await talk.send(text="goes")
    assert (got.extendedTextMessage.text, got.extendedTextMessage.contextInfo.expiration) == ("goes", 86_400)
    _, got = await talk.send(type="location", latitude=1, longitude=2)
    assert got.locationMessage.contextInfo.expiration == 86_400
    await talk.receive(text="switched off")
    _, got = await talk.send(text="stays again")
    assert got.conversation == "stays again"


async def test_changes_of_earlier_messages(talk: Talk) -> None:
    theirs = await talk.receive(text="hello")
    sent, _ = await talk.send(text="helo")
    _, got = await talk.send(type="reaction", message_id=theirs["id"], emoji="\U0001f44d")
    assert (got.reactionMessage.key.ID, got.reactionMessage.key.fromMe) == (theirs["id"], False)
    assert got.reactionMessage.text == "\U0001f44d"
    _, got = await talk.send(type="reaction", message_id=sent["whatsapp_id"], emoji="")
    assert (got.reactionMessage.key.ID, got.reactionMessage.key.fromMe) == (sent["whatsapp_id"], True)
    _, got = await talk.send(type="edit", message_id=sent["id"], text="hello")
    change = got.editedMessage.message.protocolMessage
    assert (change.key.ID, change.type) == (sent["whatsapp_id"], e2e.ProtocolMessage.MESSAGE_EDIT)
    assert change.editedMessage.conversation == "hello"
    _, got = await talk.send(type="pin", message_id=theirs["id"], seconds=86_400)
    assert (got.pinInChatMessage.key.ID, got.pinInChatMessage.type) == (theirs["id"], e2e.PinInChatMessage.PIN_FOR_ALL)
    assert got.messageContextInfo.messageAddOnDurationInSecs == 86_400
    _, got = await talk.send(type="pin", message_id=theirs["id"], pinned=False)
    assert got.pinInChatMessage.type == e2e.PinInChatMessage.UNPIN_FOR_ALL
    _, got = await talk.send(type="keep", message_id=theirs["id"])
    assert (got.keepInChatMessage.key.ID, got.keepInChatMessage.keepType) == (theirs["id"], e2e.KEEP_FOR_ALL)
    _, got = await talk.send(type="delete", message_id=sent["id"])
    assert (got.protocolMessage.key.ID, got.protocolMessage.type) == (sent["whatsapp_id"], e2e.ProtocolMessage.REVOKE)
    for kind in ("edit", "delete"):
        more = {"text": "mine now"} if kind == "edit" else {}
        problem = await talk.refused(422, type=kind, message_id=theirs["id"], **more)
        assert problem["field"] == "message_id"
    place, _ = await talk.send(type="location", latitude=1, longitude=2)
    assert "only texts" in (await talk.refused(422, type="edit", message_id=place["id"], text="x"))["detail"]
    stranger = await talk.sandbox.phone("4915100000077")
    elsewhere = await talk.refused(404, to=f"+{stranger.number}", type="delete", message_id=sent["id"])
    assert elsewhere["field"] == "message_id"


async def test_a_change_of_a_message_that_still_waits_is_sent_behind_it(talk: Talk) -> None:
    await talk.daemon.call("POST", "/v1/bots/shop/disconnect")
    await talk.daemon.until_state("shop", "stopped")
    to = f"+{CONTACT_NUMBER}"
    first = await talk.daemon.call("POST", MESSAGES, {"to": to, "text": "helo"})
    change = await talk.daemon.call(
        "POST", MESSAGES, {"to": to, "type": "edit", "message_id": first["id"], "text": "hi"}
    )
    await talk.daemon.call("POST", "/v1/bots/shop/connect")
    done = await talk.daemon.call("GET", f"{MESSAGES}/{change['id']}", wait=30)
    first = await talk.daemon.call("GET", f"{MESSAGES}/{first['id']}")
    got = await talk.contact.message(done["whatsapp_id"])
    assert first["whatsapp_id"] == got.editedMessage.message.protocolMessage.key.ID


async def test_polls_and_votes_both_ways(talk: Talk) -> None:
    poll, got = await talk.send(type="poll", question="When?", options=["now", "later", "never"], selectable=2)
    asked = got.pollCreationMessage
    assert (asked.name, [one.optionName for one in asked.options], asked.selectableOptionsCount) == (
        "When?", ["now", "later", "never"], 2
    )  # fmt: skip
    vote = await talk.receive("poll.voted", vote={"id": poll["whatsapp_id"], "options": ["now", "never"]})
    assert vote["content"] == {"message_id": poll["whatsapp_id"], "options": ["now", "never"]}
    counted = {"now": 1, "later": 0, "never": 1}
    assert {one["title"]: one["votes"] for one in vote["poll"]["options"]} == counted
    vote = await talk.receive("poll.voted", vote={"id": poll["whatsapp_id"], "options": ["later"]})
    assert {one["title"]: one["votes"] for one in vote["poll"]["options"]} == {"now": 0, "later": 1, "never": 0}
    vote = await talk.receive("poll.voted", vote={"id": poll["whatsapp_id"], "options": []})
    assert (vote["content"]["options"], vote["poll"]["voters"]) == ([], 0)

    theirs = await talk.receive("message.received", poll={"question": "Tea?", "options": ["yes", "no"]})
    assert theirs["content"] == {"question": "Tea?", "options": ["yes", "no"], "selectable": 1}
    _, got = await talk.send(type="poll_vote", message_id=theirs["id"], options=["yes"])
    assert theirs["id"] == got.pollUpdateMessage.pollCreationMessageKey.ID
    voted = [one for one in (await talk.contact.call("GET", "/inbox"))["messages"] if one["type"] == "vote"]
    assert voted[-1]["options"] == ["yes"]
    problem = await talk.refused(422, type="poll_vote", message_id=theirs["id"], options=["coffee"])
    assert problem["field"] == "options"
    text, _ = await talk.send(text="no poll")
    assert "not a poll" in (await talk.refused(422, type="poll_vote", message_id=text["id"], options=["a"]))["detail"]


async def test_votes_of_several_people_are_counted_in_a_group(talk: Talk) -> None:
    third = await talk.sandbox.phone("4915100000003", "Bea")
    members = {"subject": "Us", "members": [BOT_NUMBER, third.number]}
    group = (await talk.contact.call("POST", "/groups", members))["group"]
    poll, _ = await talk.send(to=group, type="poll", question="When?", options=["now", "later"])
    for phone, choice, standing in ((talk.contact, "now", (1, 0)), (third, "now", (2, 0)), (third, "later", (1, 1))):
        wanted = await phone.say(group, vote={"id": poll["whatsapp_id"], "options": [choice]})
        event = await talk.events.until(lambda e, wanted=wanted: e["data"]["id"] == wanted)
        assert tuple(one["votes"] for one in event["data"]["poll"]["options"]) == standing
    theirs = await talk.contact.say(group, text="hello all")
    await talk.events.until(lambda e: e["data"]["id"] == theirs)
    _, got = await talk.send(to=group, type="reaction", message_id=theirs, emoji="x")
    assert got.reactionMessage.key.participant.endswith("@lid")
    _, got = await talk.send(to=group, text="all of you", mentions=["all"])
    assert got.extendedTextMessage.contextInfo.nonJIDMentions == 1


async def test_posts_as_a_status_and_in_a_channel(talk: Talk) -> None:
    post = await talk.daemon.call(
        "POST", MESSAGES, {"to": "status@broadcast", "text": "open!", "color": "#00aa55", "font": 2}, wait=30
    )
    assert (post["state"], post["to"]["jid"], post["content"]["color"]) == ("sent", "status@broadcast", "#00aa55")
    got = await talk.own.message(post["whatsapp_id"])  # the account's own phone shows it
    assert (got.extendedTextMessage.text, got.extendedTextMessage.backgroundArgb) == ("open!", 0xFF00AA55)
    gone = await talk.daemon.call(
        "POST", MESSAGES, {"to": "status@broadcast", "type": "delete", "message_id": post["id"]}, wait=30
    )
    assert gone["state"] == "sent"
    problem = await talk.refused(501, "status@broadcast", type="poll", question="?", options=["a", "b"])
    assert (problem["code"], problem["field"]) == ("not-supported", "type")
    channel = (await talk.own.call("POST", "/channels", {"name": "News"}))["channel"]
    first = await talk.daemon.call("POST", MESSAGES, {"to": channel, "text": "hello all"}, wait=30)
    assert first["state"] == "sent", first
    await talk.daemon.call(
        "POST", MESSAGES, {"to": channel, "type": "edit", "message_id": first["id"], "text": "hello"}, wait=30
    )
    posts = (await talk.own.call("GET", f"/channels/{channel}"))["posts"]
    assert [(one["id"] == first["whatsapp_id"], one["edit"]) for one in posts] == [(True, ""), (True, "3")]
    assert posts[0]["text"] == "hello all"
    theirs = await talk.own.call("POST", f"/channels/{channel}/posts", {"text": "from my colleague"})
    event = await talk.events.until(lambda e: e["data"]["id"] == theirs["id"])
    assert (event["data"]["chat"]["jid"], event["data"]["origin"]) == (channel, "channel")
    assert event["data"]["text"] == "from my colleague"
    nobody = await talk.daemon.call("POST", MESSAGES, {"to": "120363999999999999@newsletter", "text": "?"}, wait=30)
    assert nobody["state"] == "failed"


async def test_in_a_group_it_is_told_who_has_read_a_message(talk: Talk) -> None:
    third = await talk.sandbox.phone("4915100000003", "Bea")
    members = {"subject": "Us", "members": [BOT_NUMBER, third.number]}
    group = (await talk.contact.call("POST", "/groups", members))["group"]
    said, _ = await talk.send(to=group, text="who comes?")
    await third.message(said["whatsapp_id"])
    await third.call("POST", "/read", {"ids": [said["whatsapp_id"]], "chat": group})

    wanted = {f"+{third.number}": "read", f"+{CONTACT_NUMBER}": "delivered"}

    async def told() -> bool:
        answer = await talk.daemon.call("GET", f"{MESSAGES}/{said['id']}/recipients")
        return {one["recipient"]["phone"]: one["state"] for one in answer["recipients"]} == wanted

    await talk.events.until(lambda e: e["data"]["id"] == said["id"] and e["data"]["state"] == "read")
    await eventually(told)  # the receipt of the other one moves nothing, and is no event
    person, _ = await talk.send(text="and you?")
    answer = await talk.daemon.call("GET", f"{MESSAGES}/{person['id']}/recipients")
    assert answer == {"recipients": []}


ROWS = [{"id": "r1", "title": "Red", "description": "warm"}, {"id": "r2", "title": "Blue"}]


async def test_a_list_is_a_numbered_text_and_the_answer_is_a_choice(talk: Talk) -> None:
    answer, got = await talk.send(
        type="list", text="Which?", title="Colours", sections=[{"title": "All", "rows": ROWS}]
    )
    assert got.conversation == "*Colours*\nWhich?\n\n*All*\n1. Red - warm\n2. Blue"
    assert answer["type"] == "list"
    assert answer["content"]["sections"][0]["rows"][1] == {"id": "r2", "title": "Blue"}
    assert (await talk.receive(text=" 2. "))["content"]["choice"] == {"id": "r2", "title": "Blue"}
    assert (await talk.receive(text="red"))["content"]["choice"] == {"id": "r1", "title": "Red"}
    for said in ("3", "0", "green", "2 of them please"):
        assert "choice" not in (await talk.receive(text=said))["content"]
    buttons = [
        {"id": "y", "title": "Yes"},
        {"title": "Shop", "url": "https://example.com/"},
        {"id": "n", "title": "No"},
    ]
    later, got = await talk.send(type="buttons", text="Really?", footer="please", buttons=buttons)
    assert got.conversation == "Really?\n\n1. Yes\nShop: https://example.com/\n2. No\n\nplease"
    assert (await talk.receive(text="2"))["content"]["choice"] == {"id": "n", "title": "No"}
    quoting = await talk.receive(text="2", reply_to=answer["whatsapp_id"])
    assert quoting["content"]["choice"] == {"id": "r2", "title": "Blue"}
    for row, words, choice in (("r2", "Gold", {"id": "r2", "title": "Blue"}), ("r9", "Blue", None)):
        tapped = {"selectedButtonID": row, "selectedDisplayText": words, "type": "DISPLAY_TEXT"}
        quoted = {"stanzaID": answer["whatsapp_id"], "participant": f"{BOT_NUMBER}@s.whatsapp.net"}
        reply = e2e.Message(buttonsResponseMessage={**tapped, "contextInfo": quoted})
        assert (await talk.receive_raw(reply))["content"].get("choice") == choice, "a row of ours, in our words"
    await talk.send(text="how many?")
    assert "choice" not in (await talk.receive(text="2"))["content"], "it answers what was asked last"
    assert later["id"] != answer["id"]


async def test_a_list_may_be_a_poll(tmp_path: Path, sandbox: Sandbox) -> None:
    (folder := tmp_path / "polls").mkdir()
    async with Daemon(folder, sandbox.descriptor_file, ZAPWIRE_LIST_FALLBACK="poll") as daemon:
        own = await linked_bot(daemon, sandbox)
        contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
        async with daemon.events("message.*", "poll.*") as events:
            talk = Talk(daemon, sandbox, own, contact, events)
            answer, got = await talk.send(type="list", text="Which?", sections=[{"rows": ROWS}])
            assert [one.optionName for one in got.pollCreationMessage.options] == ["Red", "Blue"]
            vote = await talk.receive("poll.voted", vote={"id": answer["whatsapp_id"], "options": ["Blue"]})
            assert vote["content"]["choice"] == {"id": "r2", "title": "Blue"}
            assert vote["poll"]["question"] == "Which?"


KEY = {"remoteJID": f"{CONTACT_NUMBER}@s.whatsapp.net", "fromMe": False, "ID": "OLD"}
AD = {
    "title": "Sale",
    "body": "Half",
    "sourceType": "ad",
    "sourceID": "77",
    "sourceURL": "https://fb.me/x",
    "ctwaClid": "c1",
}
RECEIVED: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"albumMessage": {"expectedImageCount": 2, "expectedVideoCount": 1}}, "album",
     {"images": 2, "videos": 1}),
    ({"eventMessage": {"name": "Party", "startTime": 1893524400, "isCanceled": True}}, "event",
     {"name": "Party", "starts_at": "2030-01-01T19:00:00Z", "cancelled": True}),
    ({"orderMessage": {"orderID": "o1", "itemCount": 2, "totalAmount1000": 12500,
                                           "totalCurrencyCode": "EUR"}}, "order",
     {"order_id": "o1", "items": 2, "price": "12.5", "currency": "EUR"}),
    ({"productMessage": {"product": {"productID": "p1", "title": "Tea", "priceAmount1000": 3000,
                                                         "currencyCode": "EUR"},
                         "businessOwnerJID": "1@s.whatsapp.net"}},
     "product", {"product_id": "p1", "title": "Tea", "price": "3", "currency": "EUR", "seller": "1@s.whatsapp.net"}),
    ({"requestPaymentMessage": {"amount1000": 1000, "currencyCodeIso4217": "EUR",
                                                    "noteMessage": {"conversation": "for tea"}}}, "payment",
     {"action": "requested", "amount": "1", "currency": "EUR", "text": "for tea"}),
    ({"callLogMesssage": {"isVideo": True, "callOutcome": "MISSED"}}, "call_log",
     {"video": True, "outcome": "missed"}),
    ({"pinInChatMessage": {"key": KEY, "type": "UNPIN_FOR_ALL"}}, "pin",
     {"message_id": "OLD", "pinned": False}),
    ({"keepInChatMessage": {"key": KEY, "keepType": "KEEP_FOR_ALL"}}, "keep", {"message_id": "OLD"}),
    ({"listMessage": {"title": "T", "description": "Which?", "buttonText": "Open",
                                          "sections": [{"title": "S", "rows": [{"rowID": "1", "title": "A"}]}]}},
     "list",
     {"text": "Which?", "title": "T", "button": "Open",
      "sections": [{"title": "S", "rows": [{"id": "1", "title": "A"}]}]}),
    ({"buttonsMessage": {"contentText": "Yes?", "buttons": [
        {"buttonID": "y", "buttonText": {"displayText": "Yes"}, "type": "RESPONSE"}]}}, "buttons",
     {"text": "Yes?", "buttons": [{"title": "Yes", "id": "y"}]}),
    ({"interactiveMessage": {"body": {"text": "Go"}, "nativeFlowMessage": {"buttons": [
        {"name": "cta_url", "buttonParamsJSON": '{"display_text": "Shop", "url": "https://example.com/"}'}]}}},
     "buttons",
     {"text": "Go", "buttons": [{"title": "Shop", "url": "https://example.com/"}]}),
    ({"buttonsResponseMessage": {"selectedButtonID": "y", "selectedDisplayText": "Yes",
                                                     "type": "DISPLAY_TEXT"}}, "reply",
     {"id": "y", "text": "Yes"}),
    ({"interactiveResponseMessage": {"body": {"text": "Blue"}, "nativeFlowResponseMessage": {
        "name": "menu_options", "paramsJSON": '{"id": "r2"}'}}}, "reply",
     {"id": "r2", "text": "Blue"}),
    ({"extendedTextMessage": {"text": "hi", "contextInfo": {"externalAdReply": AD}}}, "text",
     {"text": "hi", "referral": {"source_id": "77", "source_type": "ad", "source_url": "https://fb.me/x",
                                 "headline": "Sale", "body": "Half", "click_id": "c1"}}),
    ({"extendedTextMessage": {"text": "hi", "contextInfo": {"expiration": 86400}}}, "text",
     {"text": "hi", "expires_in": 86400}),
    ({"newsletterAdminInviteMessage": {"newsletterJID": "1@newsletter", "caption": "Join"}}, "unknown",
     {"whatsapp_type": "newsletterAdminInviteMessage", "text": "Join"}),
    ({"editedMessage": {"message": {"protocolMessage": {
        "key": KEY, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "new"}}}}}, "edit",
     {"message_id": "OLD", "type": "text", "content": {"text": "new"}}),
    ({"protocolMessage": {"key": KEY, "type": "REVOKE"}}, "delete", {"message_id": "OLD"}),
    ({"reactionMessage": {"key": KEY, "text": "x"}}, "reaction", {"message_id": "OLD", "emoji": "x"}),
]  # fmt: skip
"""What a phone sends, and what is told of it."""
EVENTS = {"edit": "message.edited", "delete": "message.deleted", "reaction": "message.reaction"}


async def test_what_arrives_is_told_with_all_that_is_in_it(talk: Talk) -> None:
    for fields, kind, content in RECEIVED:
        told = await talk.receive_raw(e2e.Message(**fields), EVENTS.get(kind, "message.received"))
        assert (told["type"], told["content"]) == (kind, content)


WRAPPERS = ["ephemeralMessage", "viewOnceMessageV2Extension", "documentWithCaptionMessage", "associatedChildMessage",
            "groupMentionedMessage", "botInvokeMessage", "lottieStickerMessage"]  # fmt: skip


async def test_wrappers_are_opened_however_deep_they_nest(talk: Talk) -> None:
    for wrapper, depth in itertools.product(WRAPPERS, (1, 4)):
        message = e2e.Message(conversation=wrapper)
        for _ in range(depth):
            message = e2e.Message(**{wrapper: {"message": message}})
        told = await talk.receive_raw(message)
        assert (told["type"], told["content"]["text"]) == ("text", wrapper)
