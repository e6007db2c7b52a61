"""The passkey of an account, and what its phone does when WhatsApp demands it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from fido2.cose import ES256
from fido2.server import Fido2Server
from fido2.webauthn import Aaguid, AttestedCredentialData, PublicKeyCredentialRpEntity, UserVerificationRequirement

RP_ID: Final = "whatsapp.com"
ORIGIN: Final = "https://web.whatsapp.com"

_SERVER: Final = Fido2Server(
    PublicKeyCredentialRpEntity(name="WhatsApp", id=RP_ID), verify_origin=lambda said: said == ORIGIN
)


@dataclass(slots=True)
class PasskeyRule:
    """How pairings of one account go."""

    demanded: bool = False
    """No device is linked without the passkey."""
    compare: bool = False
    """The phone waits until its owner has accepted the verification code, also after a proof."""
    silent: bool = False
    """The phone does not go on after the passkey was accepted."""
    bare: bool = False
    """The notification comes without the question, so that the client has to ask for it."""
    keyless: bool = False
    """In a pairing by code, a notification without a key comes in between."""


@dataclass(frozen=True, slots=True)
class PublicPasskey:
    """What the server knows of an account's passkey."""

    credential_id: bytes
    public_key: bytes
    """A point of P-256, not compressed."""


def verify(challenge: bytes, credential: dict[str, Any], passkey: PublicPasskey) -> None:
    """Is *credential* (as `PublicKeyCredential.toJSON()` gives it) this passkey's answer? Raises ValueError: why not.

    WebAuthn level 2, section 7.2.
    """
    point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), passkey.public_key)
    key = ES256.from_cryptography_key(point)  # type: ignore[no-untyped-call]  # fido2 leaves this one out
    known = AttestedCredentialData.create(Aaguid.NONE, passkey.credential_id, key)
    _, state = _SERVER.authenticate_begin(
        [known], user_verification=UserVerificationRequirement.REQUIRED, challenge=challenge
    )
    try:
        _SERVER.authenticate_complete(state, [known], credential)
    except ValueError:
        raise
    except Exception as error:  # what a stranger sends can be anything, and the library says so in many ways
        raise ValueError(f"this is no answer of a passkey: {error}") from error
