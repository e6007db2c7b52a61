"""The end of a session: why it ended, and putting away what it left."""

from __future__ import annotations

import asyncio

from zapwire.model.errors import TransportError
from zapwire.transport.whatsapp_web.inbound.ingest import Ingest
from zapwire.transport.whatsapp_web.inbound.spool import Spool
from zapwire.transport.whatsapp_web.session import EngineSession


def outcome(tasks: list[asyncio.Task[None]], session: EngineSession) -> BaseException:
    """Why the session ended: what it said itself, else what one of its *tasks* raised."""
    if session.failed.done():
        return session.failed.result()
    errors = [error for task in tasks if task.done() and (error := task.exception()) is not None]
    return errors[0] if errors else TransportError("the connection ended without a reason")


async def take_down(
    session: EngineSession, taking: Ingest, tasks: list[asyncio.Task[None]], spool: Spool | None
) -> None:
    """Stop the session, take in what it still brings, and end its *tasks*."""
    await session.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await taking.close()
    if spool is not None:
        spool.close()
