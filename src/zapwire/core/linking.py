"""What a person needs to link a bot with a phone: a QR code to scan, or a code to type."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from zapwire.core import statuses
from zapwire.core.bucket import Bucket
from zapwire.core.standing import Standing
from zapwire.errors import Conflict, NotSupported
from zapwire.model import BotState, PairingCode, QrCode
from zapwire.store import times
from zapwire.transport.base import PairsByCode, Transport


async def qr(standing: Standing, wait: float) -> QrCode:
    """A code that can still be scanned; waits up to *wait* seconds for one.

    Raises `Conflict` when there is none in time or will be none, saying what to do.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(wait):
            while True:
                changed = standing.changed
                _refuse_unless_pairing(standing)
                if (code := _shown(standing)) is not None:
                    return code
                await changed.wait()
    if (code := _shown(standing)) is not None:
        return code
    reason = f" ({standing.status.reason})" if standing.status.reason else ""
    raise Conflict(f"there is no QR code yet{reason}: ask again, with ?wait=30 to wait for one")


async def pairing_code(
    standing: Standing, transport: Transport, bucket: Bucket, phone: str, *, wait: float
) -> PairingCode:
    """A code to type on *phone* (E.164), once pairing has begun; waits for that up to *wait* seconds.

    Raises `Conflict`, `NotSupported`, `Refused`, `TooMany`.
    """
    if not transport.capabilities.pairing_code or not isinstance(transport, PairsByCode):
        raise NotSupported("this bot's transport cannot link with a phone number")
    _refuse_unless_pairing(standing)
    bucket.spend()
    try:
        async with asyncio.timeout(wait):
            while standing.status.state is not BotState.PAIRING:
                changed = standing.changed
                _refuse_unless_pairing(standing)
                await changed.wait()
    except TimeoutError:
        reason = f": {standing.status.reason}" if standing.status.reason else ""
        raise Conflict(f"pairing has not begun yet{reason}; ask again") from None
    return await transport.pairing_code(phone)


def _shown(standing: Standing) -> QrCode | None:
    return standing.qr if standing.qr is not None and standing.qr.expires_at > times.now() else None


def _refuse_unless_pairing(standing: Standing) -> None:
    standing.refuse_when_leaving()
    refusal = statuses.no_qr(standing.status, linked=standing.linked)
    if refusal is not None:
        raise refusal
