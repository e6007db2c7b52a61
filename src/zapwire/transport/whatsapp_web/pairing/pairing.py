"""A bot's pairing: which of the two ways it takes, for how long, and how it is shown.

`auto` begins with the engine, which pairs as it always has, and goes over to our own client when WhatsApp asks for a
passkey. docs/decisions/0022-own-pairing-client.md says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

from zapwire.model.errors import Blocked, Condition, Conflict, PairingTimedOut, TransportError
from zapwire.model.pairing import PairingCode, PairingStep, QrCode
from zapwire.transport.protocol import Disconnected, Emit, PairingProgress, TransportEvent
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile
from zapwire.transport.whatsapp_web.pairing.attempt import PAIRING_LASTS, Attempt, nobody_scanned
from zapwire.transport.whatsapp_web.pairing.own.client import OwnAttempt

Way = Literal["auto", "own", "engine"]
"""Who pairs: the engine and, when a passkey is wanted, our own client; our own client; the engine."""

_ONCE_MORE: Final = (
    "WhatsApp wants a passkey for this account; the pairing begins again, as it can be answered then",
    "Scan once more: the new code, with the same phone.",
)


_NO_OWN: Final = (
    "the setting pairing is `own`, and the pairing client of our own cannot be used here: the log says why; set it to "
    "`auto` or `engine`"
)


class Turns:
    """At most so many at one time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = asyncio.Semaphore(count)
        self.taken = 0

    async def take(self, emit: Emit) -> None:
        """Wait for a turn, and say that it has to be waited for."""
        if self._free.locked():
            await emit(Disconnected(f"waits for its turn to pair: {self.count} bots are being paired already"))
        await self._free.acquire()
        self.taken += 1

    def give_back(self) -> None:
        """The turn is over."""
        self.taken -= 1
        self._free.release()


class Pairing:
    """One pairing of one bot: `run` once, the rest meanwhile."""

    def __init__(
        self,
        file: AuthFile,
        way: Way,
        engine: tuple[Callable[[], Attempt], Turns],
        own: tuple[Callable[[], OwnAttempt], Turns] | None,
        timeout: float | None,
    ) -> None:
        """*own* is None where our client cannot be used. *timeout* is in seconds; None: when the codes are used up."""
        self._file = file
        self._way = way
        self._engine = engine
        self._own = own
        self._timeout = timeout
        self._attempt: Attempt | None = None
        self._emit: Emit | None = None
        self._shown = 0
        self.wants_passkey = False
        """WhatsApp asked for a passkey when the engine paired: next time our client does so at once."""

    async def run(self, emit: Emit) -> None:
        """Show codes through *emit* until a phone has paired; then the auth file holds the device.

        Raises `PairingTimedOut`, `TransportError`, or what the server refused with. Cancelling ends the pairing.
        """
        try:
            if self._way == "own":
                if self._own is None:
                    raise TransportError(_NO_OWN)
                await self._go(self._own, emit)
                return
            try:
                await self._go(self._engine, emit)
            except Blocked as blocked:
                if blocked.condition is not Condition.PASSKEY or self._way == "engine" or self._own is None:
                    raise
                self.wants_passkey = True
                until = datetime.now(UTC) + PAIRING_LASTS
                await emit(PairingProgress(PairingStep.SCAN, until, *_ONCE_MORE))
                await self._go(self._own, emit)
        finally:
            self._attempt = None

    async def code(self, phone: str) -> PairingCode:
        """See `PairsByCode.pairing_code`."""
        if self._attempt is None:
            raise Conflict("the pairing has not begun yet: ask again")
        return await self._attempt.code(phone)

    @property
    def own(self) -> OwnAttempt:
        """Our own client, if it pairs at the moment. Raises `Conflict`."""
        if not isinstance(self._attempt, OwnAttempt):
            raise Conflict("WhatsApp has not asked for a passkey: it does, for some accounts, after the code")
        return self._attempt

    async def _go(self, way: tuple[Callable[[], Attempt], Turns], emit: Emit) -> None:
        make, turns = way
        await turns.take(emit)
        try:
            await self._attempts(make, emit)
        finally:
            self._attempt = None
            turns.give_back()

    async def _attempts(self, make: Callable[[], Attempt], emit: Emit) -> None:
        """One attempt, or as many as the time is enough for."""

        async def counted(event: TransportEvent) -> None:
            if isinstance(event, QrCode):
                self._shown += 1
                event = QrCode(event.code, event.expires_at, self._shown)
            elif isinstance(event, PairingProgress):
                clock.reschedule(None)  # the passkey has a time of its own
            await emit(event)

        try:
            async with asyncio.timeout(self._timeout) as clock:
                while True:
                    # What is left of an earlier account or of an unfinished pairing is worth nothing.
                    await self._file.destroy()
                    self._attempt = make()
                    try:
                        return await self._attempt.run(counted)
                    except PairingTimedOut:
                        if self._timeout is None or clock.when() is None:
                            raise
        except TimeoutError:
            if not clock.expired():
                raise
            raise nobody_scanned() from None
