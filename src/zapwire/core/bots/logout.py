"""Removing a bot's device from its account, as far as WhatsApp can be reached. Nothing here destroys local state."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from zapwire.model.bots import BotId
from zapwire.model.errors import Blocked, Condition, LoggedOut, NeedsPerson, TransportError, ZapwireError
from zapwire.model.pairing import QrCode
from zapwire.runtime.tasks import spawn
from zapwire.transport.protocol import Connected, Emit, Transport, TransportEvent, Unlinks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unlinked:
    """How an attempt ended."""

    error: ZapwireError | None = None
    """Why WhatsApp does not know of it; None when it does, or when there was no device."""

    @property
    def told(self) -> bool:
        """Is the device no longer one of the account?"""
        return self.error is None

    @property
    def worth_another_try(self) -> bool:
        """Could WhatsApp be notified later without anybody doing anything?"""
        return isinstance(self.error, TransportError)

    @property
    def foreign(self) -> Blocked | None:
        """What is kept for the bot is that of another one."""
        found = self.error
        return found if isinstance(found, Blocked) and found.condition is Condition.AUTH_FOREIGN else None


async def unlink(transport: Transport, bot: BotId, *, patience: float) -> Unlinked:
    """Tell WhatsApp over the connection that there is, within *patience* seconds."""
    if not isinstance(transport, Unlinks):  # no device of an account: there is nothing to tell
        return Unlinked()
    try:
        async with asyncio.timeout(patience):
            await transport.logout()
    except TimeoutError:
        return Unlinked(TransportError("WhatsApp does not answer"))
    except (TransportError, NeedsPerson) as error:
        return Unlinked(error)
    except Exception:
        log.exception("bot %s: unlinking failed unexpectedly", bot)
        return Unlinked(TransportError("internal error, see the log", condition=Condition.INTERNAL))
    return Unlinked()


async def connect_and_unlink(transport: Transport, bot: BotId, emit: Emit, *, patience: float) -> Unlinked:
    """Like `unlink`, over a connection made just for that; what arrives meanwhile goes to *emit*."""
    decided = asyncio.Event()

    async def listen(event: TransportEvent) -> None:
        await emit(event)
        if isinstance(event, Connected | QrCode):  # a QR code: nothing is linked (any more)
            decided.set()

    run = spawn(_run(transport, listen), f"unlinking-{bot}", awaited=True)
    online = spawn(decided.wait(), f"unlinking-{bot}-online", awaited=True)
    try:
        await asyncio.wait([run, online], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if run.done():
            return run.result()
        if not online.done():
            return Unlinked(TransportError("WhatsApp cannot be reached"))
        return await unlink(transport, bot, patience=patience)
    finally:
        run.cancel()
        online.cancel()
        await asyncio.wait([run, online])


async def _run(transport: Transport, emit: Emit) -> Unlinked:
    """Why the connection ended."""
    try:
        await transport.run(emit)
    except LoggedOut:
        return Unlinked()
    except (TransportError, NeedsPerson) as error:
        return Unlinked(error)
    except Exception:
        log.exception("the transport failed unexpectedly")
        return Unlinked(TransportError("internal error, see the log", condition=Condition.INTERNAL))
    return Unlinked(TransportError("the connection ended", condition=Condition.LOST))
