from __future__ import annotations

from datetime import UTC, datetime

import pytest

from zapwire.core.events.serializers import timestamp
from zapwire.model import timestamps
from zapwire.model.bots import Identity
from zapwire.model.messages import Origin, Undecryptable
from zapwire.transport.protocol import HistoryOffered, Withheld
from zapwire.transport.whatsapp_web.engine import event_codes, protobuf_fields
from zapwire.transport.whatsapp_web.engine.protos import e2e, neonize
from zapwire.transport.whatsapp_web.inbound import decode

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
    return decode.read_message(event(message, **more), OWN)


def test_a_text_with_both_names():
    found = read(e2e.Message(conversation="hi"), sender_alt=jid("4915510000002", "s.whatsapp.net"))
    assert (found.type, found.content.as_json()) == ("text", {"text": "hi"})
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


def known(jid: str, phone: str | None = None, lid: str | None = None) -> dict[str, str | None]:
    return {"jid": jid, "phone": phone, "lid": lid}


KEY = {"key": {"ID": "OLD"}}
CONTENTS = [
    (
        e2e.Message(extendedTextMessage={"text": "yes", "contextInfo": {"stanzaID": "OLD", "participant": "1@lid"}}),
        (
            "text",
            {"text": "yes", "quoted": {"message_id": "OLD", "sender": known("1@lid", lid="1@lid"), "text": None}},
        ),
    ),
    (
        e2e.Message(
            extendedTextMessage={
                "text": "@1 @2",
                "contextInfo": {
                    "mentionedJID": ["111:12@lid", "4915510000002:3@s.whatsapp.net", "who knows"],
                    "stanzaID": "OLD",
                    "participant": "111.1:4@lid",
                    "quotedMessage": {"imageMessage": {"caption": "x" * 300}},
                },
            }
        ),
        (
            "text",
            {
                "text": "@1 @2",
                "quoted": {
                    "message_id": "OLD",
                    "sender": known("111@lid", "+4915510000001", "111@lid"),
                    "text": "x" * 199 + "\u2026",
                },
                "mentions": [
                    known("111@lid", "+4915510000001", "111@lid"),
                    known("4915510000002@s.whatsapp.net", "+4915510000002"),
                    known("who knows"),
                ],
            },
        ),
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
        ("voice", {"mime_type": "audio/ogg", "seconds": 3}),
    ),
    (e2e.Message(documentMessage={"fileName": "a.pdf"}), ("document", {"file_name": "a.pdf"})),
    (e2e.Message(stickerMessage={"isAnimated": True}), ("sticker", {"animated": True})),
    (e2e.Message(reactionMessage={**KEY, "text": "+"}), ("reaction", {"message_id": "OLD", "emoji": "+"})),
    (e2e.Message(protocolMessage={**KEY, "type": "REVOKE"}), ("delete", {"message_id": "OLD"})),
    (
        e2e.Message(protocolMessage={**KEY, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "new"}}),
        ("edit", {"message_id": "OLD", "type": "text", "content": {"text": "new"}}),
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
    (e2e.Message(invoiceMessage={}), ("unknown", {"whatsapp_type": "invoiceMessage"})),
]


@pytest.mark.parametrize(("message", "expected"), CONTENTS)
def test_contents(message, expected):
    found = read(message)
    assert (found.type, found.content.as_json()) == expected


def test_what_disappears_says_so():
    assert read(e2e.Message(conversation="x"), IsEphemeral=True, IsViewOnce=True).content.as_json() == {
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
    assert decode.read_message(event(message, from_me=True), Identity()) is None


def test_a_wrapper_that_the_engine_leaves_on_is_taken_off():
    found = read(e2e.Message(associatedChildMessage={"message": {"imageMessage": {"caption": "in high quality"}}}))
    assert found is not None
    assert (found.type, found.content.as_json()) == ("image", {"caption": "in high quality"})
    hidden = {"message": {"protocolMessage": {"type": "APP_STATE_SYNC_KEY_SHARE"}}}
    assert read(e2e.Message(groupMentionedMessage=hidden)) is None
    assert read(e2e.Message(stickerSyncRmrMessage={"rmrSource": "x"})) is None


def test_a_protocol_message_without_a_type_is_no_message():
    assert read(e2e.Message(protocolMessage={"appStateSyncKeyShare": {"keys": []}})) is None


def receipt(kind: str, *, from_me: bool = False):
    source = event(e2e.Message(), from_me=from_me).Info.MessageSource
    return decode.read_receipt(
        neonize.Receipt(MessageSource=source, MessageIDs=["A", "B"], Timestamp=1_700_000_000, Type=kind)
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("DELIVERED", "delivered"), ("INACTIVE", "delivered"), ("READ", "read"), ("PLAYED", "played")],
)
def test_receipts(kind, expected):
    found = receipt(kind)
    assert (found.kind, found.whatsapp_ids, found.chat) == (expected, ("A", "B"), "222@lid")


def test_a_receipt_of_a_kind_that_is_not_known_is_no_delivery():
    source = event(e2e.Message()).Info.MessageSource
    told = neonize.Receipt(MessageSource=source, MessageIDs=["A"], Timestamp=1)
    assert decode.read_receipt(neonize.Receipt.FromString(told.SerializePartialToString() + b"\x20\x63")) is None


def test_a_receipt_tells_text_and_moments_whatever_is_in_it():
    source = event(e2e.Message()).Info.MessageSource
    data = neonize.Receipt(MessageSource=source, Timestamp=-(2**63), Type="READ").SerializeToString()
    found = decode.read_receipt(neonize.Receipt.FromString(data + b"\x12\x02A\xff" * 3000))
    assert found.whatsapp_ids == ("A\ufffd",) * decode.MOST_IDS
    assert found.timestamp == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["SENDER", "RETRY", "READ_SELF", "PEER_MSG", "HISTORY_SYNC"])
def test_other_receipts_tell_nothing(kind):
    assert receipt(kind) is None


def test_receipts_of_the_accounts_own_devices_tell_nothing():
    assert receipt("READ", from_me=True) is None


@pytest.mark.parametrize(
    ("chat", "origin"),
    [
        (jid("222"), Origin.PERSON),
        (jid("4915510000002", "s.whatsapp.net"), Origin.PERSON),
        (jid("123", "g.us"), Origin.GROUP),
        (jid("status", "broadcast"), Origin.STATUS),
        (jid("120363", "newsletter"), Origin.CHANNEL),
        (jid("1700000000", "broadcast"), Origin.BROADCAST),
        (jid("9", "elsewhere"), Origin.OTHER),
    ],
)
def test_a_message_says_where_it_was_written(chat, origin):
    found = read(e2e.Message(conversation="hi"), chat=chat)
    assert found.origin is origin
    expected = "222@lid" if origin is Origin.BROADCAST else f"{chat.User}@{chat.Server}"
    assert found.chat.jid == expected


def test_a_message_to_a_contacts_list_belongs_to_the_chat_with_that_contact():
    given = {"chat": jid("1700000000", "broadcast"), "sender_alt": jid("4915510000002", "s.whatsapp.net")}
    found = read(e2e.Message(conversation="to all"), **given)
    assert found.chat == found.sender
    assert found.chat.phone == "+4915510000002"
    own = read(e2e.Message(conversation="to all"), chat=jid("1700000000", "broadcast"), sender=jid("111"), from_me=True)
    assert own.chat.jid == "1700000000@broadcast"


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("kind", ["locationMessage", "liveLocationMessage"])
def test_a_place_that_is_no_number_is_null(kind):
    found = read(e2e.Message(**{kind: {"degreesLatitude": NAN, "degreesLongitude": -INF}}))
    assert (found.content.latitude, found.content.longitude) == (None, None)


def test_bytes_that_are_no_text_are_told_as_far_as_they_are():
    message = e2e.Message.FromString(b"\x0a\x05hi \xf0\x9f")
    made = event(message)
    info = made.Info.SerializeToString() + b"\x2a\x03Jo\xc3" + b"\x12\x03ID\xff"
    made.Info.CopyFrom(neonize.MessageInfo.FromString(info))
    found = decode.read_message(made, OWN)
    assert (found.content.as_json(), found.push_name, found.id) == ({"text": "hi \ufffd"}, "Jo\ufffd", "ID\ufffd")


@pytest.mark.parametrize("moment", [2**63 - 1, -(2**63), 0, -1])
def test_any_moment_can_be_told(moment):
    made = event(e2e.Message(conversation="hi"))
    made.Info.Timestamp = moment
    found = decode.read_message(made, OWN)
    assert timestamp(found.timestamp)
    assert timestamps.to_ms(found.timestamp) >= 0


def test_what_is_newer_than_the_protobufs_is_unknown_but_told():
    newer = bytes.fromhex("fa ff 01 05") + b"hello"  # field 4095
    for data in (newer, e2e.Message(messageContextInfo={"messageSecret": b"x"}).SerializeToString() + newer):
        found = read(e2e.Message.FromString(data))
        assert (found.type, found.content.as_json()) == ("unknown", {"whatsapp_type": "4095"})
    wrapped = e2e.Message(associatedChildMessage={"message": e2e.Message.FromString(newer)})
    assert read(wrapped).type == "unknown"
    kind = e2e.ProtocolMessage(key={"ID": "OLD"}).SerializeToString() + b"\x10\xe7\x07"  # type 999
    found = read(e2e.Message(protocolMessage=e2e.ProtocolMessage.FromString(kind)))
    assert (found.type, found.content.as_json()) == ("unknown", {"whatsapp_type": "2"}), "it deletes no other message"


def test_what_has_no_copy_for_this_device_says_so():
    masked = read(e2e.Message(placeholderMessage={"type": "MASK_LINKED_DEVICES"}))
    assert isinstance(masked, Undecryptable)
    assert (masked.reason, masked.kind, masked.id) == ("unavailable", "mask_linked_devices", "ABC")
    once = read(e2e.Message(), IsViewOnceV2=True)
    assert isinstance(once, Undecryptable)
    assert (once.reason, once.kind) == ("unavailable", "view_once")


def test_a_content_nested_deeper_than_can_be_read_is_told_without_it():
    data = b"hello"
    for number in [1, *[1, 40] * 150]:  # a conversation in an ephemeralMessage, 150 times
        data = protobuf_fields._encode(number << 3 | 2) + _size(data) + data
    info = event(e2e.Message()).Info.SerializeToString()
    whole = b"\x0a" + _size(info) + info + b"\x12" + _size(data) + data
    told = decode.read_event(event_codes.MESSAGE, whole, OWN)
    assert isinstance(told, Withheld)
    assert (told.message.reason, told.message.id, told.message.chat.jid) == ("unreadable", "ABC", "222@lid")


def _size(data: bytes) -> bytes:
    return protobuf_fields._encode(len(data))


def undecryptable(**given) -> bytes:
    info = event(e2e.Message(), sender_alt=jid("4915510000002", "s.whatsapp.net")).Info
    values = {"IsUnavailable": False, "DecryptFailMode": "DECRYPT_FAIL_SHOW", **given}
    return neonize.UndecryptableMessage(Info=info, **values).SerializeToString()


def test_what_does_not_open_is_told_with_all_that_is_known():
    told = decode.read_event(event_codes.UNDECRYPTABLE, undecryptable(), OWN)
    assert isinstance(told, Withheld)
    found = told.message
    assert (found.reason, found.id, found.kind, found.hidden) == ("not-decrypted", "ABC", None, False)
    assert (found.chat.phone, found.sender.lid, found.push_name) == ("+4915510000002", "222@lid", "Anna")
    data = decode.with_kind(undecryptable(IsUnavailable=True, DecryptFailMode="DECRYPT_FAIL_HIDE"), "view_once")
    found = decode.read_undecryptable(data, OWN)
    assert (found.reason, found.kind, found.hidden) == ("unavailable", "view_once", True)
    assert decode.id_of(data) == "ABC"


def test_what_only_the_log_told_of_has_no_id():
    found = decode.read_undecryptable(decode.unreadable_event("222:3@lid", "123@g.us"), OWN)
    assert (found.reason, found.id, found.chat.jid, found.sender.jid) == ("unreadable", None, "123@g.us", "222@lid")
    assert found.origin is Origin.GROUP


def test_the_second_copy_of_a_content_is_left_out():
    made = event(e2e.Message(conversation="x" * 5000))
    lean = made.SerializeToString()
    made.Raw.CopyFrom(made.Message)
    assert decode.without_copy(made.SerializeToString()) == lean
    assert decode.without_copy(lean) == lean
    made.ClearField("Message")
    only = made.SerializeToString()
    assert decode.without_copy(only) == only, "the only copy stays"
    assert decode.without_copy(b"\xff\xff") == b"\xff\xff"


def test_what_the_accounts_own_devices_tell_each_other_is_nobodys_message_even_when_it_is_new_or_does_not_open():
    newer = e2e.Message.FromString(bytes.fromhex("fa ff 01 05") + b"hello")
    for from_me in (True, False):
        made = event(newer, from_me=from_me)
        made.Info.Category = "peer"
        assert (decode.read_message(made, OWN) is None) is from_me
        values = {"IsUnavailable": False, "DecryptFailMode": "DECRYPT_FAIL_SHOW"}
        data = neonize.UndecryptableMessage(Info=made.Info, **values).SerializeToString()
        assert (decode.read_event(event_codes.UNDECRYPTABLE, data, OWN) is None) is from_me


@pytest.mark.parametrize("moment", [-(2**62), 2**62])
def test_history_is_offered_whatever_the_time_says(moment: int):
    part = e2e.Message(protocolMessage={"type": "HISTORY_SYNC_NOTIFICATION", "historySyncNotification": {}})
    told = event(part, from_me=True)
    told.Info.Timestamp = moment
    offer = decode.read_event(event_codes.MESSAGE, told.SerializeToString(), OWN)
    assert isinstance(offer, HistoryOffered)
    assert (offer.id, timestamps.from_ms(timestamps.to_ms(offer.timestamp)).year) == (
        "ABC",
        9999 if moment > 0 else 1970,
    )
