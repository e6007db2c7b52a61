"""What a person needs to link a bot with a phone: a QR code to scan, a code to type, the question for a passkey."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from zapwire.core.bots import status
from zapwire.core.bots.rate_limiter import RateLimiter
from zapwire.core.bots.state import CurrentState
from zapwire.model import timestamps
from zapwire.model.bots import BotState
from zapwire.model.errors import Conflict, NotSupported
from zapwire.model.pairing import PairingCode, PasskeyChallenge, QrCode, VerificationCode
from zapwire.transport.protocol import PairsByCode, PairsByPasskey, Transport


async def qr(current: CurrentState, wait: float) -> QrCode:
    """A code that can still be scanned; waits up to *wait* seconds for one.

    Raises `Conflict` when there is none in time or will be none, saying what to do.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(wait):
            while True:
                changed = current.changed
                _refuse_unless_scanning(current)
                if (code := _shown(current)) is not None:
                    return code
                await changed.wait()
    if (code := _shown(current)) is not None:
        return code
    reason = f" ({current.status.reason})" if current.status.reason else ""
    raise Conflict(f"there is no QR code yet{reason}: ask again, with ?wait=30 to wait for one")


async def pairing_code(
    current: CurrentState, transport: Transport, rate_limiter: RateLimiter, phone: str, *, wait: float
) -> PairingCode:
    """A code to type on *phone* (E.164), once pairing has begun; waits for that up to *wait* seconds.

    Raises `Conflict`, `NotSupported`, `Refused`, `TooMany`.
    """
    if not transport.capabilities.pairing_code or not isinstance(transport, PairsByCode):
        raise NotSupported("this bot's transport cannot link with a phone number")
    _refuse_unless_scanning(current)
    rate_limiter.spend()
    try:
        async with asyncio.timeout(wait):
            while current.status.state is not BotState.PAIRING:
                changed = current.changed
                _refuse_unless_scanning(current)
                await changed.wait()
    except TimeoutError:
        reason = f": {current.status.reason}" if current.status.reason else ""
        raise Conflict(f"pairing has not begun yet{reason}; ask again") from None
    return await transport.pairing_code(phone)


async def passkey(current: CurrentState, transport: Transport, wait: float) -> PasskeyChallenge | VerificationCode:
    """What a pairing with a passkey asks or shows; waits up to *wait* seconds until WhatsApp asks.

    Raises `Conflict` when there is nothing in time or will be nothing, saying why; `NotSupported`.
    """
    asking = _with_passkey(transport)
    with suppress(TimeoutError):
        async with asyncio.timeout(wait):
            while True:
                changed = current.changed
                _refuse_unless_pairing(current)
                if current.status.is_at_passkey:
                    break
                await changed.wait()
    if current.status.is_at_passkey:
        return asking.passkey()
    reason = f" ({current.status.reason})" if current.status.reason else ""
    raise Conflict(
        f"WhatsApp has not asked for a passkey{reason}: it does, for some accounts, after the phone took the code"
    )


async def answer_passkey(current: CurrentState, transport: Transport, answer: Mapping[str, Any]) -> None:
    """Hand in a browser's *answer*; raises what `PairsByPasskey.answer_passkey` does, and `NotSupported`."""
    asking = _with_passkey(transport)
    _refuse_unless_pairing(current)
    await asking.answer_passkey(answer)


async def confirm_passkey(current: CurrentState, transport: Transport, code: str) -> None:
    """Say which *code* the phone shows; raises what `PairsByPasskey.confirm_passkey` does, and `NotSupported`."""
    asking = _with_passkey(transport)
    _refuse_unless_pairing(current)
    await asking.confirm_passkey(code)


def _shown(current: CurrentState) -> QrCode | None:
    return current.qr if current.qr is not None and current.qr.expires_at > timestamps.now() else None


def _refuse_unless_pairing(current: CurrentState) -> None:
    current.refuse_when_leaving()
    refusal = status.no_pairing(current.status, linked=current.linked)
    if refusal is not None:
        raise refusal


def _refuse_unless_scanning(current: CurrentState) -> None:
    _refuse_unless_pairing(current)
    refusal = status.no_scan(current.status)
    if refusal is not None:
        raise refusal


def _with_passkey(transport: Transport) -> PairsByPasskey:
    if not transport.capabilities.passkey or not isinstance(transport, PairsByPasskey):
        raise NotSupported("this bot's transport cannot link with a passkey")
    return transport
