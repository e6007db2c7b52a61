"""https://web.whatsapp.com in a browser of the tests: as strict as the real page, with an authenticator of a test."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.async_api import BrowserContext, CDPSession, Page, Route

ORIGIN = "https://web.whatsapp.com"
DOCUMENT = "<!doctype html><title>WhatsApp</title><p>WhatsApp</p>"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' wss://*.whatsapp.com; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types default"
    ),
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Passkey:
    """Of one account."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = b"a credential's id"

    def verifies(self, answer: dict[str, Any]) -> bool:
        """Did this passkey sign *answer*? Raises when not."""
        response = answer["response"]
        client = hashlib.sha256(base64url(response["clientDataJSON"])).digest()
        signed = base64url(response["authenticatorData"]) + client
        self.key.public_key().verify(base64url(response["signature"]), signed, ec.ECDSA(hashes.SHA256()))
        return base64url(answer["id"]) == self.id


async def add_authenticator(tab: Page, passkey: Passkey | None, *, verifies: bool = True) -> CDPSession:
    """Give *tab* an authenticator with *passkey*, whose owner agrees; *verifies*: with PIN, face or finger."""
    session = await tab.context.new_cdp_session(tab)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": verifies,
        "automaticPresenceSimulation": True,
    }
    made = await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    if passkey is not None:
        private = passkey.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        credential = {
            "credentialId": base64.b64encode(passkey.id).decode(),
            "isResidentCredential": True,
            "rpId": "whatsapp.com",
            "privateKey": base64.b64encode(private).decode(),
            "userHandle": base64.b64encode(b"user").decode(),
            "signCount": 1,
        }
        await session.send(
            "WebAuthn.addCredential", {"authenticatorId": made["authenticatorId"], "credential": credential}
        )
    return session


async def stand_in(context: BrowserContext) -> None:
    """Serve WhatsApp's page to *context*."""

    async def serve(route: Route) -> None:
        await route.fulfill(status=200, headers=HEADERS, content_type="text/html", body=DOCUMENT)

    await context.route(f"{ORIGIN}/**", serve)
