"""The question by which a bot finds out whether WhatsApp still hears it.

Asked is what each client says at its login: "this device is active". It is small, WhatsApp answers it, it changes
nothing for a device that is active already, and it mends one that WhatsApp took for passive, which gets no messages
(whatsmeow, connectionevents.go, SetPassive). An answer alone does not say that messages get through to us: what waits
in our own queue for too long counts as deaf too.
"""

from __future__ import annotations

from typing import Final

from zapwire.model.errors import Condition, NotConnected, TransportError
from zapwire.transport.whatsapp_web.engine.call_pool import NotBegun
from zapwire.transport.whatsapp_web.session import EngineSession

PROBE_DEADLINE: Final = 10.0
STUCK: Final = 120.0
"""Seconds that what came in may wait; a failing database is told after a minute of it."""


async def ask(session: EngineSession) -> None:
    """One round trip. Raises `TransportError` when it is not answered, `NotConnected` when it could not be asked."""
    silent = TransportError("WhatsApp stopped answering", condition=Condition.SILENT)
    try:
        error = await session.ask(session.library.set_active, end_within=PROBE_DEADLINE)
    except TimeoutError:
        raise silent from None
    except NotBegun:
        if session.asking_for < PROBE_DEADLINE:
            raise  # too much else is under way: that says nothing
        raise silent from None  # all that may be asked at once is unanswered
    if "not connected" in error or "disconnected" in error:
        raise NotConnected("the connection to WhatsApp was lost meanwhile")
    if "timed out" in error:
        raise silent
    if session.incoming.stuck_for() > STUCK:
        raise TransportError("what WhatsApp sends is not taken in", condition=Condition.SILENT)
