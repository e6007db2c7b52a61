"""What the answer to a call for one message or one pairing code means.

The texts are whatsmeow's (send.go, user.go, group.go, errors.go) about a call of our own; what is in them besides are
addresses that the caller gave, and what WhatsApp's server said.
"""

from __future__ import annotations

import re
from typing import Final

from zapwire.model.errors import NotConnected, Refused, Restricted, TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine.untrusted_text import without_addresses

_SERVER_ERROR: Final = re.compile(r"\bserver returned error (\d{1,5})\b")
_IQ_STATUS: Final = re.compile(r"\bstatus (\d{3})\b")


class NoAccount(Refused):
    """The number has no account in the form in which it was given."""

    def __init__(self) -> None:
        super().__init__("that number is not on WhatsApp", field="to")


def from_send_error(text: str) -> Exception:
    """What a failed send means.

    `TimeoutError` is for the cases in which the message may have reached WhatsApp.
    """
    lower = text.lower()
    if "no lid found" in lower:
        return NoAccount()
    if "websocket not connected" in lower or "store doesn't contain a device" in lower:
        return NotConnected("the bot is not connected to WhatsApp")
    if match := _SERVER_ERROR.search(lower):
        return _from_code(int(match[1]))
    if "failed to get group members" in lower:
        return _from_group_error(lower)
    if "timed out waiting for message send response" in lower or "disconnected" in lower:
        return TimeoutError("WhatsApp did not confirm the message")
    return TransportError(f"WhatsApp did not take the message: {without_addresses(text)}")


def _from_code(code: int) -> ZapwireError:
    if code == 463:
        detail = "WhatsApp does not let this account start new chats at the moment (error 463)"
        return Restricted(detail, error=code, strangers=True)
    if code == 429:
        return Restricted(
            "WhatsApp takes no messages of this account for a while (error 429)", error=code, strangers=False
        )
    if code >= 500:
        return TransportError(f"WhatsApp cannot take the message at the moment (error {code})")
    return Refused(f"WhatsApp refused the message (error {code})")


def _from_group_error(text: str) -> ZapwireError:
    if "does not exist" in text or "404" in text:
        return Refused("that group does not exist", field="to")
    if "not participating" in text or "403" in text:
        return Refused("the bot is not a member of that group", field="to")
    return TransportError("WhatsApp did not tell who is in that group")


def from_pair_phone_error(text: str) -> ZapwireError:
    """Why there is no pairing code."""
    match = _IQ_STATUS.search(text)
    if "phone number" in text:
        return no_pairing_code(400)
    return no_pairing_code(int(match[1]) if match else 0, f": {without_addresses(text)}")


def no_pairing_code(status: int, text: str = "") -> ZapwireError:
    """Why there is no pairing code, by the *status* of WhatsApp's answer; 0: it has none."""
    if status == 429:
        return TransportError("WhatsApp gives no pairing code for this number at the moment: too many were asked for")
    if 400 <= status < 500:
        return Refused("WhatsApp gives no pairing code for this number", field="phone")
    return TransportError(f"WhatsApp gave no pairing code{text}")
