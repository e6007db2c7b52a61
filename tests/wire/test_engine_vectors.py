"""What we send against what the engine itself sent (`record_engine` made the vectors)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waAdv.WAAdv_pb2 import ADVSignedDeviceIdentity
from neonize.proto.waWa6.WAWebProtobufsWa6_pb2 import ClientPayload

from zapwire.model.pairing import PairingOptions
from zapwire.model.proxy import Proxy
from zapwire.transport.whatsapp_web.network import line
from zapwire.transport.whatsapp_web.network.preflight import HOST
from zapwire.transport.whatsapp_web.pairing import device_props
from zapwire.transport.whatsapp_web.pairing.own import codes, pair_success, registration, websocket
from zapwire.transport.whatsapp_web.pairing.own.conversation import Conversation
from zapwire.transport.whatsapp_web.pairing.own.registration import CompanionKeys
from zapwire.wire import adv, binary
from zapwire.wire.curve import KeyPair
from zapwire.wire.link_code import CodePairing
from zapwire.wire.node import Node, WireJid

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "engine_pairing.json").read_text())
SENT = [bytes.fromhex(stanza) for stanza in VECTORS["sent_while_pairing"]]
RECEIVED = [binary.decode(bytes.fromhex(stanza)) for stanza in VECTORS["received_while_pairing"]]
PHONE = "4915510000001"


def theirs(*path: str) -> Node:
    """The engine's stanza that has this child."""
    return next(node for node in map(binary.decode, SENT) if node.child(*path) is not None)


def texts(node: Node) -> Node:
    """With text where the engine writes a token instead of bytes."""
    content: Any = [texts(child) for child in node.children] or node.content
    return Node(node.tag, node.attrs, node.data.decode() if node.tag == "companion_platform_id" else content)


@pytest.mark.parametrize("stanza", SENT, ids=range(len(SENT)))
def test_the_codec_writes_what_the_engine_wrote(stanza: bytes) -> None:
    assert binary.encode(texts(binary.decode(stanza))) == stanza


def test_the_registration_is_the_engines_byte_for_byte() -> None:
    recorded = bytes.fromhex(VECTORS["registration"])
    payload = ClientPayload.FromString(recorded)
    data, version = payload.devicePairingData, payload.userAgent.appVersion
    keys = CompanionKeys(
        KeyPair(b"", b""),
        KeyPair(b"", data.eIdent),
        KeyPair(b"", data.eSkeyVal),
        data.eSkeySig,
        int.from_bytes(data.eRegid, "big"),
        b"",
    )
    props = device_props.complete(PairingOptions()).SerializeToString()
    numbers = (version.primary, version.secondary, version.tertiary)
    assert registration.payload(keys, numbers, props) == recorded


def test_a_bots_options_change_what_they_name_and_nothing_else() -> None:
    usual, other = (
        device_props.complete(PairingOptions()),
        device_props.complete(PairingOptions(device_name="Shop", platform="chrome", full_history=True)),
    )
    assert (other.os, other.platformType, other.requireFullSync) == ("Shop", 1, True)
    other.os, other.platformType, other.requireFullSync = usual.os, usual.platformType, False
    assert other == usual
    assert device_props.qr_client(PairingOptions(platform="edge")) == "2"


def test_the_qr_code_is_the_engines() -> None:
    qr = adv.parse_qr(VECTORS["qr"])
    keys = CompanionKeys(
        KeyPair(b"", qr.noise_public), KeyPair(b"", qr.identity_public), KeyPair(b"", b""), b"", 0, qr.adv_secret
    )
    assert codes.qr_text(qr.ref, keys, keys.adv_secret, device_props.qr_client(PairingOptions())) == VECTORS["qr"]
    first = RECEIVED[0].child("pair-device")
    assert first is not None
    assert qr.ref == next(first.all("ref")).data.decode()


def test_the_http_head_is_the_engines() -> None:
    lines = [f"{name}: {value}" if value else name for name, value in VECTORS["http_head"]]
    key = dict(VECTORS["http_head"])["Sec-Websocket-Key"]
    assert websocket._request("web.whatsapp.com", "/ws/chat", key) == "\r\n".join([*lines, "", ""])


def test_a_proxy_is_asked_as_the_engine_asks() -> None:
    assert line._connect_request(Proxy("http", "127.0.0.1", 1), HOST) == VECTORS["proxy_request"]


class Socket:
    """In place of the connection: notes what is sent; a question is answered with *answer*."""

    def __init__(self, answer: Node | None = None) -> None:
        self.sent: list[Node] = []
        self._answer = answer
        self._answers: asyncio.Queue[Node] = asyncio.Queue()

    async def send(self, node: Node) -> None:
        self.sent.append(binary.decode(binary.encode(node)))
        if self._answer is not None:
            self._answers.put_nowait(Node("iq", {"type": "result", "id": node.text("id")}, self._answer.content))

    async def next(self) -> Node:
        return await self._answers.get()


async def spoken(socket: Socket, work: Any) -> Any:
    talk = Conversation(socket)  # type: ignore[arg-type]
    listening = asyncio.create_task(talk.listen())
    try:
        return await work(talk)
    finally:
        listening.cancel()


def shape(node: Node) -> Any:
    """Of a stanza: tags, attributes and the sizes of contents; ids and what is random are left out."""
    attrs = {name: value for name, value in node.attrs.items() if name != "id"}
    return node.tag, attrs, [shape(child) for child in node.children] or len(node.data)


async def test_a_keep_alive_is_the_engines_and_its_id_looks_like_its() -> None:
    socket = Socket(Node("iq"))
    await spoken(socket, lambda talk: talk.ask("get", "w:p"))
    recorded = next(node for node in map(binary.decode, SENT) if node.text("xmlns") == "w:p")
    assert shape(socket.sent[0]) == shape(recorded)
    ours, engines = (node.text("id") for node in (socket.sent[0], recorded))
    for number in (ours, engines):
        prefix, count = number.split("-")
        assert [int(part) < 256 for part in prefix.split(".")] == [True, True]
        assert int(count) == 1


async def test_asking_for_a_code_and_finishing_are_the_engines() -> None:
    keys, phone = CompanionKeys.generate(), KeyPair.generate()
    hello = next(node for node in RECEIVED if node.child("link_code_companion_reg", "link_code_pairing_ref"))
    socket = Socket(hello)

    async def work(talk: Conversation) -> None:
        typed = await codes.TypedCode.ask(talk, keys, f"+{PHONE}")
        answer = CodePairing.begin(phone, typed.half.code, typed.half.wrapped_ephemeral)
        part = Node(
            "link_code_companion_reg",
            {"stage": "primary_hello"},
            [
                Node("link_code_pairing_ref", {}, typed.ref),
                Node("link_code_pairing_wrapped_primary_ephemeral_pub", {}, answer.wrapped_ephemeral),
                Node("primary_identity_pub", {}, phone.public),
            ],
        )
        secret = await typed.finish(talk, keys, part)
        bundle = socket.sent[1].child("link_code_companion_reg", "link_code_pairing_wrapped_key_bundle")
        assert bundle is not None
        assert answer.finish(bundle.data, keys.identity.public) == secret
        assert len(typed.half.code) == len(VECTORS["code"])

    await spoken(socket, work)
    recorded = [node for node in map(binary.decode, SENT) if node.child("link_code_companion_reg")]
    assert [shape(node) for node in socket.sent] == [shape(node) for node in recorded]
    display = ("link_code_companion_reg", "companion_platform_display")
    assert [node.child(*display).data for node in (socket.sent[0], recorded[0])] == [b"Chrome (Linux)"] * 2  # type: ignore[union-attr]


async def test_a_notification_is_acknowledged_as_the_engine_does() -> None:
    notification = next(node for node in RECEIVED if node.tag == "notification")
    socket = Socket()
    await Conversation(socket).acknowledge(notification)  # type: ignore[arg-type]
    recorded = next(node for node in map(binary.decode, SENT) if node.tag == "ack")
    assert (socket.sent[0].tag, socket.sent[0].attrs) == (recorded.tag, recorded.attrs)


async def test_what_is_signed_for_is_the_engines() -> None:
    request = next(node for node in RECEIVED if node.child("pair-success"))
    phone, keys, secret = KeyPair.generate(), CompanionKeys.generate(), b"s" * 32
    container = adv.identity_container(phone, keys.identity.public, secret, raw_id=1, key_index=1, timestamp=1 << 30)
    success = request.child("pair-success")
    assert success is not None
    made = Node(
        "iq", request.attrs, [Node("pair-success", {}, [Node("device-identity", {}, container), *success.children[1:]])]
    )
    socket = Socket()
    device = await pair_success.read(Conversation(socket), made, keys, secret)  # type: ignore[arg-type]
    assert (device.jid, device.platform) == (WireJid(PHONE, device=1), "android")
    ours, recorded = pair_success._signed(made, device), theirs("pair-device-sign")
    assert ours.attrs == recorded.attrs
    identities = [node.child("pair-device-sign", "device-identity") for node in (ours, recorded)]
    assert identities[0] is not None
    assert identities[1] is not None
    assert identities[0].attrs == identities[1].attrs
    present = [
        [field.name for field, _ in ADVSignedDeviceIdentity.FromString(one.data).ListFields()] for one in identities
    ]  # type: ignore[union-attr]
    assert present[0] == present[1] == ["details", "accountSignature", "deviceSignature"]
    account = adv.account_key_of(success.children[0].data)
    engine = ClientPayload.FromString(bytes.fromhex(VECTORS["registration"])).devicePairingData.eIdent
    assert adv.verify_companion(identities[1].data, engine, account)


def test_the_telemetry_after_a_pairing_is_the_engines() -> None:
    request = next(node for node in RECEIVED if node.child("pair-success"))
    ours, recorded = pair_success.unified_session(request), theirs("unified_session")
    assert ours.attrs == recorded.attrs
    number = [node.children[0].text("id") for node in (ours, recorded)]
    assert all(0 <= int(one) < 7 * 24 * 3600 * 1000 for one in number)
