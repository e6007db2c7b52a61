"""What a browser gave for a passkey: checked as far as that needs no public key, before it goes to WhatsApp.

Source: WebAuthn level 3 (sections 5.8.1, 6.1, 7.2); what WhatsApp wants of it: whatsmeow's types.WebAuthnResponse.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from zapwire.model.errors import Conflict, InvalidInput

ORIGIN: Final = "https://web.whatsapp.com"
"""The page that the passkey has to be used on, whatever `rpId` would allow besides."""
_SITE: Final = "web.whatsapp.com"
_TYPE: Final = "public-key"
_GET: Final = "webauthn.get"
_LONGEST: Final = 16 * 1024
_HASH: Final = 32
_FLAGS: Final = _HASH
_SHORTEST_DATA: Final = 37
_PRESENT, _VERIFIED = 0x01, 0x04


@dataclass(frozen=True, slots=True)
class Assertion:
    """An answer that may be sent. Secret."""

    credential_id: bytes
    json: bytes


def challenge_of(question: Mapping[str, Any]) -> bytes | None:
    """The bytes that are to be signed; None when the question has none."""
    value = question.get("challenge")
    try:
        return _decode(value) if isinstance(value, str) and value else None
    except ValueError:
        return None


def check(answer: Mapping[str, Any], question: Mapping[str, Any]) -> Assertion:
    """An answer to *question*, as WhatsApp takes it.

    Raises `InvalidInput` when it cannot be one, and `Conflict` when it answers another question.
    """
    response = answer.get("response")
    if answer.get("type") != _TYPE or not isinstance(response, Mapping):
        raise _bad("is not what a browser gives for a passkey")
    raw = {name: _text(answer, name) for name in ("id", "rawId")}
    parts = {name: _text(response, name) for name in ("clientDataJSON", "authenticatorData", "signature")}
    handle = response.get("userHandle")
    if handle is not None:
        handle = _text(response, "userHandle", empty=True)
    _check_client(_bytes(parts["clientDataJSON"]), question)
    _check_authenticator(_bytes(parts["authenticatorData"]), question)
    _bytes(parts["signature"])
    message = {"id": raw["id"], "rawId": raw["rawId"], "type": _TYPE, "response": {**parts, "userHandle": handle}}
    return Assertion(_bytes(raw["rawId"]), json.dumps(message, separators=(",", ":")).encode())


def _check_client(data: bytes, question: Mapping[str, Any]) -> None:
    try:
        client = json.loads(data)
    except (ValueError, RecursionError):
        client = None
    if not isinstance(client, dict) or client.get("type") != _GET:
        raise _bad("is not what a browser gives when it is asked for a passkey")
    if challenge_of(client) != challenge_of(question):
        raise Conflict("The answer is for an older question: copy the new one.")
    if (origin := client.get("origin")) != ORIGIN:
        where = origin[:100] if isinstance(origin, str) and origin.isprintable() else "another page"
        raise _bad(f"was used on {where} instead of {_SITE}")


def _check_authenticator(data: bytes, question: Mapping[str, Any]) -> None:
    if len(data) < _SHORTEST_DATA:
        raise _bad("is too short")
    site = question.get("rpId")
    site = site if isinstance(site, str) and site else _SITE
    if data[:_HASH] != hashlib.sha256(site.encode()).digest():
        raise _bad("is of a passkey for another site")
    if not data[_FLAGS] & _PRESENT:
        raise _bad("was given without anybody being there")
    if question.get("userVerification") == "required" and not data[_FLAGS] & _VERIFIED:
        raise _bad("was given without PIN, face or finger")


def _text(source: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    value = source.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST or not (value or empty):
        raise _bad(f"has no {name}")
    value = value.rstrip("=")
    _bytes(value)
    return value


def _bytes(text: str) -> bytes:
    try:
        return _decode(text)
    except ValueError:
        raise _bad("holds something that is no base64url") from None


def _decode(text: str) -> bytes:
    try:
        plain = text.rstrip("=").encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        message = "not base64url"
        raise ValueError(message) from error


def _bad(what: str) -> InvalidInput:
    return InvalidInput(f"The answer {what}.", field="answer")
