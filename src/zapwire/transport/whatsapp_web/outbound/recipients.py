"""Whom WhatsApp means by a phone number that has no account in the form in which it was given.

Some countries have two forms of a number, of which an account has one: Brazil's mobile numbers with and without their
ninth digit, Mexico's with and without a 1, Argentina's with and without a 9. Only WhatsApp knows which, so it is asked,
and only then: most numbers are right as they are. Source: whatsmeow user.go, IsOnWhatsApp.
"""

from __future__ import annotations

from typing import Final

from zapwire.model.errors import TransportError
from zapwire.model.jid import LID_SERVER
from zapwire.model.messages import Party
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.engine.untrusted_text import text_of, without_addresses
from zapwire.transport.whatsapp_web.session import EngineSession

DEADLINE: Final = 15.0
_NOBODY: Final = "Function returned nothing."
"""goneonize's word for an empty list."""


async def find_account(session: EngineSession, library: Library, number: str) -> Party | None:
    """The account that WhatsApp names for *number* (digits), with its own form of it; None when nobody has it.

    Raises `TransportError` and TimeoutError when WhatsApp was not asked or did not answer: nothing is known then.
    """
    raw = await session.ask(library.find_account, f"+{number}".encode(), end_within=DEADLINE)
    answer = neonize.IsOnWhatsAppReturnFunction.FromString(raw)
    if answer.Error and answer.Error != _NOBODY:
        raise TransportError(f"WhatsApp did not tell who has that number: {without_addresses(answer.Error)}")
    for found in answer.IsOnWhatsAppResponse:
        if found.IsIn and found.JID.Server == LID_SERVER:
            user = text_of(found.JID.User)
            phone = await session.phone_of_lid(user)
            return Party(f"{user}@{LID_SERVER}", f"+{phone}" if phone else None, f"{user}@{LID_SERVER}")
    return None
