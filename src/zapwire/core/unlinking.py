"""Removing a bot's device from its account, as far as WhatsApp can be reached; the local state goes in any case."""

from __future__ import annotations

import asyncio
import logging

from zapwire.model import BotId, QrCode
from zapwire.transport.base import Connected, Emit, Transport, TransportEvent

log = logging.getLogger(__name__)


async def unlink(transport: Transport, bot: BotId, *, patience: float) -> bool:
    """Tell WhatsApp over the connection that there is, within *patience* seconds; True when that was done."""
    try:
        async with asyncio.timeout(patience):
            await transport.logout()
    except Exception as error:  # noqa: BLE001 - the local state goes in any case
        log.warning("bot %s: WhatsApp was not told of the logout: %s", bot, type(error).__name__)
        return False
    return True


async def connect_and_unlink(transport: Transport, bot: BotId, emit: Emit, *, patience: float) -> bool:
    """Like `unlink`, over a connection made just for that; what arrives meanwhile goes to *emit*."""
    decided = asyncio.Event()

    async def listen(event: TransportEvent) -> None:
        await emit(event)
        if isinstance(event, Connected | QrCode):  # a QR code: nothing is linked (any more)
            decided.set()

    run = asyncio.create_task(_run(transport, listen), name=f"unlinking-{bot}")
    online = asyncio.create_task(decided.wait())
    try:
        await asyncio.wait([run, online], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return await unlink(transport, bot, patience=patience)
    finally:
        run.cancel()
        online.cancel()
        await asyncio.wait([run, online])


async def _run(transport: Transport, emit: Emit) -> None:
    try:
        await transport.run(emit)
    except Exception as error:  # noqa: BLE001 - there is nothing to be done about it, only less to unlink
        log.info("no connection to unlink over: %s", type(error).__name__)
