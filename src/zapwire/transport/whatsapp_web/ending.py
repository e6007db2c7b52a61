"""The end of a session: why it ended, and putting away what it left."""

from __future__ import annotations

import asyncio

from zapwire.errors import TransportError
from zapwire.transport.whatsapp_web.session import Session
from zapwire.transport.whatsapp_web.spool import Spool
from zapwire.transport.whatsapp_web.taking import Taking


def outcome(tasks: list[asyncio.Task[None]], session: Session) -> BaseException:
    """Why the session ended: what it said itself, else what one of its *tasks* raised."""
    if session.failed.done():
        return session.failed.result()
    errors = [error for task in tasks if task.done() and (error := task.exception()) is not None]
    return errors[0] if errors else TransportError("the connection ended without a reason")


async def take_down(session: Session, taking: Taking, tasks: list[asyncio.Task[None]], spool: Spool | None) -> None:
    """Stop the session, take in what it still brings, and end its *tasks*."""
    await session.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await taking.close()
    if spool is not None:
        spool.close()
