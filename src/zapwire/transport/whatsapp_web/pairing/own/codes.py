"""What the phone scans, and what its owner types instead.

Source: whatsmeow's pair.go (`makeQRData`) and pair-code.go.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from zapwire.model.errors import Refused, TransportError
from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport.whatsapp_web.outbound.send_errors import no_pairing_code
from zapwire.transport.whatsapp_web.pairing.attempt import CLIENT_CHROME, DISPLAY_NAME
from zapwire.transport.whatsapp_web.pairing.own.conversation import Conversation, Denied
from zapwire.transport.whatsapp_web.pairing.own.registration import CompanionKeys
from zapwire.wire.link_code import CompanionCode, WrongCode
from zapwire.wire.node import Node, WireJid

LINK_CODE: Final = "link_code_companion_reg"
LONGEST_REF: Final = 512
"""Bytes; a QR code holds some 2,900 with all else."""
_URL: Final = "https://wa.me/settings/linked_devices#"
_SHORTEST_NUMBER: Final = 7


def is_ref(data: bytes) -> bool:
    """Can it stand in a QR code as a field of its own?"""
    return 0 < len(data) <= LONGEST_REF and all(0x21 <= byte <= 0x7E and byte != 0x2C for byte in data)


def qr_text(ref: str, keys: CompanionKeys, secret: bytes, client: str) -> str:
    """The text of a QR code with the ADV *secret*; *client* is the kind of program that it names."""
    parts = (keys.noise.public, keys.identity.public, secret)
    return _URL + ",".join([ref, *(base64.b64encode(part).decode() for part in parts), client])


@dataclass(frozen=True, slots=True)
class TypedCode:
    """A code that waits to be typed on a phone."""

    half: CompanionCode
    jid: WireJid
    ref: bytes

    @classmethod
    async def ask(cls, talk: Conversation, keys: CompanionKeys, phone: str) -> TypedCode:
        """Announce a new code for *phone* (E.164). Raises `Refused`, `TransportError`, OSError."""
        digits = "".join(filter(str.isdigit, phone))
        if len(digits) < _SHORTEST_NUMBER or digits.startswith("0"):
            raise Refused("WhatsApp gives no pairing code for this number", field="phone")
        jid = WireJid(digits)
        # The code is stretched on purpose (50 ms); the loop has other things to do meanwhile.
        half = await in_file_thread(CompanionCode.generate)
        hello = Node(
            LINK_CODE,
            {"jid": jid, "stage": "companion_hello", "should_show_push_notification": "true"},
            [
                Node("link_code_pairing_wrapped_companion_ephemeral_pub", {}, half.wrapped_ephemeral),
                Node("companion_server_auth_key_pub", {}, keys.noise.public),
                Node("companion_platform_id", {}, str(CLIENT_CHROME)),
                Node("companion_platform_display", {}, DISPLAY_NAME),
                Node("link_code_pairing_nonce", {}, b"\0"),
            ],
        )
        try:
            answer = await talk.ask("set", "md", hello)
        except Denied as error:
            raise no_pairing_code(int(error.error) if error.error.isdecimal() else 0) from None
        ref = answer.child(LINK_CODE, "link_code_pairing_ref")
        if ref is None or not 0 < len(ref.data) <= LONGEST_REF:
            raise TransportError("WhatsApp gave no pairing code")
        return cls(half, jid, ref.data)

    async def finish(self, talk: Conversation, keys: CompanionKeys, part: Node) -> bytes | None:
        """Answer the phone's *part*, on which the code was typed: the ADV secret from now on.

        None when it is not for this code, or holds no keys: WhatsApp sends such ones in between; also when WhatsApp
        refuses what we answer, as a QR code may still be scanned. Raises `TransportError`, OSError.
        """
        parts = [
            part.child(name)
            for name in (
                "link_code_pairing_ref",
                "link_code_pairing_wrapped_primary_ephemeral_pub",
                "primary_identity_pub",
            )
        ]
        ref, wrapped, identity = (one.data if one is not None else b"" for one in parts)
        if ref != self.ref or not wrapped or not identity:
            return None
        try:
            bundle = await in_file_thread(self.half.finish, keys.identity, wrapped, identity)
        except WrongCode:
            return None
        answer = Node(
            LINK_CODE,
            {"jid": self.jid, "stage": "companion_finish"},
            [
                Node("link_code_pairing_wrapped_key_bundle", {}, bundle.wrapped),
                Node("companion_identity_public", {}, keys.identity.public),
                Node("link_code_pairing_ref", {}, ref),
            ],
        )
        try:
            await talk.ask("set", "md", answer)
        except Denied:
            return None
        return bundle.adv_secret
