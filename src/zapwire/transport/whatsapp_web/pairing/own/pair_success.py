"""The end of a pairing: what `<pair-success>` brings is checked, stored, and only then signed for.

Source: whatsmeow's pair.go (`handlePair`).
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import suppress
from typing import Final

from zapwire.model.errors import Condition, TransportError
from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile
from zapwire.transport.whatsapp_web.pairing.own import device_row
from zapwire.transport.whatsapp_web.pairing.own.conversation import SERVER, Conversation
from zapwire.transport.whatsapp_web.pairing.own.device_row import PairedDevice
from zapwire.transport.whatsapp_web.pairing.own.registration import CompanionKeys
from zapwire.wire import adv
from zapwire.wire.node import Node, WireJid

SIGN_DEADLINE: Final = 10.0
_WEEK: Final = 7 * 24 * 3600 * 1000
_OFFSET: Final = 3 * 24 * 3600 * 1000
_LONGEST_NAME: Final = 256
_LONGEST_ID: Final = 128
_OF_NUMBERS: Final = frozenset({"s.whatsapp.net", "hosted"})
_OF_LIDS: Final = frozenset({"lid", "hosted.lid"})
_LONGEST_NUMBER: Final = 20


async def read(talk: Conversation, request: Node, keys: CompanionKeys, adv_secret: bytes) -> PairedDevice:
    """The device in *request*, an iq with `<pair-success>`; another answer is refused at WhatsApp.

    Raises `TransportError`, OSError.
    """
    identity, device = request.child("pair-success", "device-identity"), request.child("pair-success", "device")
    try:
        accepted = adv.accept_identity(identity.data if identity is not None else b"", adv_secret, keys.identity)
    except adv.NotOurs as error:
        await _refuse(talk, request, "401", "not-authorized")
        message = "what the phone signed is not for this pairing; scan a new code"
        raise TransportError(message) from error
    if len(request.text("id")) > _LONGEST_ID:
        raise TransportError("WhatsApp sent a stanza that cannot be answered; scan a new code")
    jid, lid = (device.jid("jid"), device.jid("lid")) if device is not None else (None, None)
    if jid is None or not _is_device(jid, _OF_NUMBERS) or (lid is not None and not _is_device(lid, _OF_LIDS)):
        await _refuse(talk, request, "500", "internal-error")
        raise TransportError("WhatsApp did not say which device this is now; scan a new code")
    platform, business = request.child("pair-success", "platform"), request.child("pair-success", "biz")
    return PairedDevice(jid, lid, keys, adv_secret, accepted, _name(platform), _name(business))


async def store_and_sign(
    talk: Conversation, file: AuthFile, template: bytes, request: Node, device: PairedDevice
) -> None:
    """Store *device*, then tell WhatsApp that it is ours; what WhatsApp was not told is destroyed again.

    A device that was signed for and not stored would be linked for ever without anybody who has its keys. Raises
    `TransportError`, OSError; may not be cancelled.
    """
    try:
        image = await in_file_thread(device_row.image, template, device)
    except sqlite3.Error as error:
        await _refuse(talk, request, "500", "internal-error")
        message = "the new device does not fit the engine's store"
        raise TransportError(message, condition=Condition.STORE) from error
    try:
        await file.put(image)
    except Exception:
        await _refuse(talk, request, "500", "internal-error")
        raise
    try:
        async with asyncio.timeout(SIGN_DEADLINE):
            await talk.send(_signed(request, device))
    except Exception as error:
        await file.destroy()
        message = "the connection to WhatsApp was lost while pairing"
        raise TransportError(message, condition=Condition.LOST) from error


def unified_session(request: Node) -> Node:
    """What the engine sends after it: how far the week is, by the server's clock as *request* told it."""
    now = int(time.time() * 1000)
    stamp = request.text("t")
    offset = int(stamp) * 1000 - now if stamp.isdecimal() and len(stamp) <= 12 else 0
    return Node("ib", {}, [Node("unified_session", {"id": str((now + offset + _OFFSET) % _WEEK)})])


def _signed(request: Node, device: PairedDevice) -> Node:
    identity = device.identity
    part = Node("device-identity", {"key-index": str(identity.key_index)}, identity.for_server)
    return Node(
        "iq",
        {"to": SERVER, "type": "result", "id": request.text("id")},
        [Node("pair-device-sign", {}, [part])],
    )


async def _refuse(talk: Conversation, request: Node, code: str, text: str) -> None:
    """Tell WhatsApp that nothing was linked, if it still listens: why is told by whoever refuses."""
    error = Node("error", {"code": code, "text": text})
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(SIGN_DEADLINE):
            await talk.send(Node("iq", {"to": SERVER, "type": "error", "id": request.text("id")}, [error]))


def _is_device(jid: WireJid, servers: frozenset[str]) -> bool:
    number = jid.user.isascii() and jid.user.isdecimal() and len(jid.user) <= _LONGEST_NUMBER
    return number and jid.device > 0 and jid.server in servers


def _name(node: Node | None) -> str:
    return node.text("name")[:_LONGEST_NAME] if node is not None else ""
