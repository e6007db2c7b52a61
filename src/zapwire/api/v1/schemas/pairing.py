"""Pairing as JSON.

Answers are made by `zapwire.core.events.serializers`, so that they agree with events; a test holds these models against
it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from zapwire.api.http.models import Answer, Body, Timestamp
from zapwire.api.http.string_formats import Phone, VerificationText


class Qr(Answer):
    """A QR code to scan under Linked devices; it expires after some 20 to 60 seconds and a new one follows."""

    code: str = Field(description="The QR code's text.")
    image: str = Field(description="The QR code as a PNG in a data URL.")
    expires_at: Timestamp
    attempt: int = Field(description="1 for the first code since pairing began.")


class PairByCode(Body):
    """The phone to link."""

    phone: Phone = Field(
        description="Its number with `+` and country code, like +4915123456789, or one of the default country."
    )


class PairingCode(Answer):
    """The code to type on the phone under Linked devices, Link with phone number instead."""

    code: str
    expires_at: Timestamp


class PasskeyQuestion(Answer):
    """What WhatsApp asks the account's passkey; secret."""

    question: dict[str, Any] = Field(
        description="As WhatsApp sent it: what `PublicKeyCredential.parseRequestOptionsFromJSON` of a browser takes."
    )
    origin: str = Field(description="The page that the browser has to ask on: `https://web.whatsapp.com`.")
    expires_at: Timestamp


class VerificationCode(Answer):
    """The code that phone and daemon show; when they differ, somebody is in between."""

    code: str = Field(description="`XXXX-XXXX`.")
    needed: bool = Field(description="The pairing waits until it is confirmed; else the code is only to look at.")
    expires_at: Timestamp


class Passkey(RootModel[PasskeyQuestion | VerificationCode]):
    """What a pairing with a passkey waits for: the question at step `passkey`, the code after it."""


_Text = Annotated[str, Field(min_length=1, max_length=8192)]


class _FromBrowser(BaseModel):
    """Browsers add fields, which nobody here needs."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Assertion(_FromBrowser):
    """What the authenticator signed; base64url."""

    clientDataJSON: _Text  # noqa: N815 - WebAuthn's name
    authenticatorData: _Text  # noqa: N815 - WebAuthn's name
    signature: _Text
    userHandle: Annotated[str, Field(max_length=8192)] | None = None  # noqa: N815 - WebAuthn's name


class Credential(_FromBrowser):
    """`PublicKeyCredential.toJSON()` of a browser; what else it holds is left out."""

    id: _Text
    rawId: _Text  # noqa: N815 - WebAuthn's name
    type: Literal["public-key"]
    response: Assertion


class AnswerPasskey(Body):
    """A browser's answer to the question."""

    answer: Credential


class ConfirmPasskey(Body):
    """What a person saw on the phone."""

    code: VerificationText | None = Field(
        description="The code that the phone shows; null when it is another one than ours, which ends the pairing."
    )
