"""The JSON of the calls that exist only with a sandbox."""

from __future__ import annotations

from pydantic import Field

from zapwire.api.http.models import Answer, Body
from zapwire.api.http.string_formats import Digits


class SandboxInfo(Answer):
    """The sandbox that stands in for WhatsApp."""

    socket_url: str
    page: str = Field(description="Where the sandbox shows its virtual phones.")


class Scan(Body):
    """Let a virtual phone scan the bot's present QR code."""

    bot: str
    phone: Digits | None = Field(
        None, description="Digits of the virtual phone; each bot has one of its own when absent."
    )
    passkey: bool = Field(False, description="Of an account that demands a passkey from now on.")  # noqa: FBT003 - pydantic's way to say the default


class UsePasskey(Body):
    """Use the passkey of the virtual phone that scanned the bot's code."""

    bot: str


class UsedPasskey(Answer):
    """WhatsApp took it; the phone goes on."""

    phone: str


class Scanned(Answer):
    """The virtual phone scanned it."""

    phone: str | None
    lid: str | None = None
