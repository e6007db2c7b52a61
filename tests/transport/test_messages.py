from __future__ import annotations

from datetime import UTC, datetime

import pytest

from zapwire.model import Identity
from zapwire.transport.whatsapp_web import messages
from zapwire.transport.whatsapp_web.protos import e2e, neonize

OWN = Identity("+4915510000001", "111@lid", "Bot")


def jid(user: str, server: str = "lid"):
    return neonize.JID(User=user, RawAgent=0, Device=3, Integrator=0, Server=server, IsEmpty=not user)


def event(message, *, chat=None, sender=None, sender_alt=None, recipient_alt=None, from_me=False, **flags):
    nobody = jid("", "")
    source = neonize.MessageSource(
        Chat=chat or jid("222"), Sender=sender or jid("222"), IsFromMe=from_me, IsGroup=False,
        SenderAlt=sender_alt or nobody, RecipientAlt=recipient_alt or nobody,
        BroadcastListOwner=nobody,
    )  # fmt: skip
    info = neonize.MessageInfo(
        MessageSource=source, ID="ABC", ServerID=0, Type="text", Pushname="Anna", Timestamp=1_700_000_000_500,
        Category="", Multicast=False, MediaType="", Edit="",
    )  # fmt: skip
    names = ("IsEphemeral", "IsViewOnce", "IsViewOnceV2", "IsViewOnceV2Extension", "IsDocumentWithCaption")
    given = {**dict.fromkeys((*names, "IsLottieSticker", "IsEdit"), False), **flags}
    return neonize.Message(Info=info, Message=message, UnavailableRequestID="", RetryCount=0, **given)


def read(message, **more):
    return messages.read_message(event(message, **more), OWN)


def test_a_text_with_both_names():
    found = read(e2e.Message(conversation="hi"), sender_alt=jid("4915510000002", "s.whatsapp.net"))
    assert (found.type, found.content) == ("text", {"text": "hi"})
    assert found.timestamp == datetime(2023, 11, 14, 22, 13, 20, 500000, UTC)
    for party in (found.chat, found.sender):
        assert (party.jid, party.phone, party.lid) == ("222@lid", "+4915510000002", "222@lid")


def test_a_name_that_is_not_known_is_not_invented():
    found = read(e2e.Message(conversation="hi"))
    assert (found.chat.phone, found.chat.lid) == (None, "222@lid")


def test_ones_own_message_names_the_chat_by_its_recipient():
    found = read(
        e2e.Message(conversation="hi"),
        from_me=True,
        sender=jid("111"),
        recipient_alt=jid("4915510000002", "s.whatsapp.net"),
    )
    assert (found.sender.phone, found.sender.lid) == ("+4915510000001", "111@lid")
    assert found.chat.phone == "+4915510000002"


def test_a_group_has_no_phone_but_its_sender_has():
    found = read(
        e2e.Message(conversation="hi"), chat=jid("123", "g.us"), sender_alt=jid("4915510000002", "s.whatsapp.net")
    )
    assert (found.chat.jid, found.chat.phone, found.chat.lid) == ("123@g.us", None, None)
    assert found.sender.phone == "+4915510000002"


KEY = {"key": {"ID": "OLD"}}
CONTENTS = [
    (
        e2e.Message(extendedTextMessage={"text": "yes", "contextInfo": {"stanzaID": "OLD", "participant": "1@lid"}}),
        ("text", {"text": "yes", "quoted": {"message_id": "OLD", "sender": "1@lid"}}),
    ),
    (
        e2e.Message(
            imageMessage={
                "mimetype": "image/jpeg",
                "caption": "look",
                "fileLength": 9,
                "width": 4,
                "mediaKey": b"secret",
            }
        ),
        ("image", {"mime_type": "image/jpeg", "caption": "look", "size": 9, "width": 4}),
    ),
    (
        e2e.Message(audioMessage={"mimetype": "audio/ogg", "PTT": True, "seconds": 3}),
        ("audio", {"mime_type": "audio/ogg", "voice": True, "seconds": 3}),
    ),
    (e2e.Message(documentMessage={"fileName": "a.pdf"}), ("document", {"file_name": "a.pdf"})),
    (e2e.Message(stickerMessage={"isAnimated": True}), ("sticker", {"animated": True})),
    (e2e.Message(reactionMessage={**KEY, "text": "+"}), ("reaction", {"message_id": "OLD", "emoji": "+"})),
    (e2e.Message(protocolMessage={**KEY, "type": "REVOKE"}), ("revoke", {"message_id": "OLD"})),
    (
        e2e.Message(protocolMessage={**KEY, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "new"}}),
        ("edit", {"message_id": "OLD", "type": "text", "text": "new"}),
    ),
    (
        e2e.Message(locationMessage={"degreesLatitude": 1.5, "degreesLongitude": 2.5, "name": "here"}),
        ("location", {"latitude": 1.5, "longitude": 2.5, "name": "here"}),
    ),
    (
        e2e.Message(contactMessage={"displayName": "Anna", "vcard": "BEGIN:VCARD"}),
        ("contact", {"contacts": [{"name": "Anna", "vcard": "BEGIN:VCARD"}]}),
    ),
    (
        e2e.Message(pollCreationMessageV3={"name": "?", "options": [{"optionName": "a"}], "selectableOptionsCount": 1}),
        ("poll", {"question": "?", "options": ["a"], "selectable": 1}),
    ),
    (e2e.Message(orderMessage={}), ("unknown", {"whatsapp_type": "orderMessage"})),
]


@pytest.mark.parametrize(("message", "expected"), CONTENTS)
def test_contents(message, expected):
    found = read(message)
    assert (found.type, found.content) == expected


def test_what_disappears_says_so():
    assert read(e2e.Message(conversation="x"), IsEphemeral=True, IsViewOnce=True).content == {
        "text": "x", "view_once": True, "disappearing": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "message",
    [
        e2e.Message(),
        e2e.Message(senderKeyDistributionMessage={"groupID": "123@g.us"}, messageContextInfo={}),
        e2e.Message(protocolMessage={"type": "HISTORY_SYNC_NOTIFICATION"}),
    ],
)
def test_parts_of_the_protocol_are_no_messages(message):
    assert read(message) is None


SHOWN = {"REVOKE", "MESSAGE_EDIT"}


@pytest.mark.parametrize("kind", sorted(set(e2e.ProtocolMessage.Type.keys()) - SHOWN))
@pytest.mark.parametrize("extra", [{}, {"key": {"ID": "OLD", "fromMe": True}}])
def test_what_the_accounts_devices_tell_each_other_is_no_message(kind, extra):
    message = e2e.Message(
        protocolMessage={"type": kind, **extra}, messageContextInfo={}, conversation="not for anybody"
    )
    assert messages.read_message(event(message, from_me=True), Identity()) is None


def test_a_wrapper_that_the_engine_leaves_on_is_taken_off():
    found = read(e2e.Message(associatedChildMessage={"message": {"imageMessage": {"caption": "in high quality"}}}))
    assert found is not None
    assert (found.type, found.content) == ("image", {"caption": "in high quality"})
    hidden = {"message": {"protocolMessage": {"type": "APP_STATE_SYNC_KEY_SHARE"}}}
    assert read(e2e.Message(groupMentionedMessage=hidden)) is None
    assert read(e2e.Message(stickerSyncRmrMessage={"rmrSource": "x"})) is None


def test_a_protocol_message_without_a_type_is_no_message():
    assert read(e2e.Message(protocolMessage={"appStateSyncKeyShare": {"keys": []}})) is None


def receipt(kind: str, *, from_me: bool = False):
    source = event(e2e.Message(), from_me=from_me).Info.MessageSource
    return messages.read_receipt(
        neonize.Receipt(MessageSource=source, MessageIDs=["A", "B"], Timestamp=1_700_000_000, Type=kind)
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("DELIVERED", "delivered"), ("INACTIVE", "delivered"), ("READ", "read"), ("PLAYED", "played")],
)
def test_receipts(kind, expected):
    found = receipt(kind)
    assert (found.kind, found.whatsapp_ids, found.chat) == (expected, ("A", "B"), "222@lid")


@pytest.mark.parametrize("kind", ["SENDER", "RETRY", "READ_SELF", "PEER_MSG", "HISTORY_SYNC"])
def test_other_receipts_tell_nothing(kind):
    assert receipt(kind) is None


def test_receipts_of_the_accounts_own_devices_tell_nothing():
    assert receipt("READ", from_me=True) is None
