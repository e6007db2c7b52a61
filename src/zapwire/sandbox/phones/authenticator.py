"""A virtual phone's passkey: a software key that answers as an authenticator and a browser together do (WebAuthn)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zapwire.sandbox.server.state.passkey import ORIGIN, RP_ID, PublicPasskey

USER_PRESENT: Final = 0x01
USER_VERIFIED: Final = 0x04


def base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Authenticator:
    """The passkey of one account; *private* is PKCS #8."""

    def __init__(self, private: bytes = b"", credential_id: bytes = b"") -> None:
        key = serialization.load_der_private_key(private, None) if private else ec.generate_private_key(ec.SECP256R1())
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("a passkey here is a key on a curve")
        self._key = key
        self.credential_id = credential_id or secrets.token_bytes(32)

    @property
    def private(self) -> bytes:
        """PKCS #8: for a browser's virtual authenticator."""
        return self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public(self) -> PublicPasskey:
        """What the server knows."""
        encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        return PublicPasskey(self.credential_id, self._key.public_key().public_bytes(encoding, form))

    def answer(
        self, question: dict[str, Any], *, origin: str = ORIGIN, rp_id: str = RP_ID, user_verified: bool = True
    ) -> dict[str, Any]:
        """`PublicKeyCredential.toJSON()` of the answer to *question*; the rest are ways to be wrong."""
        client = {"type": "webauthn.get", "challenge": question["challenge"], "origin": origin, "crossOrigin": False}
        client_data = json.dumps(client, separators=(",", ":")).encode()
        flags = USER_PRESENT | (USER_VERIFIED if user_verified else 0)
        data = hashlib.sha256(rp_id.encode()).digest() + bytes((flags,)) + bytes(4)
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        number = base64url(self.credential_id)
        return {
            "id": number,
            "rawId": number,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(client_data),
                "authenticatorData": base64url(data),
                "signature": base64url(signature),
                "userHandle": None,
            },
        }
