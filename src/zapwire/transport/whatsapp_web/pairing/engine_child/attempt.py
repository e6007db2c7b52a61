"""Pairing a bot with the engine, seen from the daemon: talks to the process of `child`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from zapwire.model.errors import Blocked, Condition, Conflict, TransportError, ZapwireError
from zapwire.model.pairing import PairingCode, PairingOptions, QrCode
from zapwire.runtime.tasks import spawn
from zapwire.transport.protocol import Emit
from zapwire.transport.whatsapp_web.auth.auth_file import AuthFile
from zapwire.transport.whatsapp_web.client_version import ClientVersion
from zapwire.transport.whatsapp_web.engine import disconnect_reasons, log_lines
from zapwire.transport.whatsapp_web.engine.dial_errors import from_start_error, unreachable
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.outbound.send_errors import from_pair_phone_error
from zapwire.transport.whatsapp_web.pairing import device_props
from zapwire.transport.whatsapp_web.pairing.attempt import (
    CLIENT_CHROME,
    DISPLAY_NAME,
    FIRST_QR_DEADLINE,
    FIRST_QR_LASTS,
    NEXT_QR_LASTS,
    PAIRING_LASTS,
    lost,
    nobody_scanned,
    without_multidevice,
)

log = logging.getLogger(__name__)

CODE_DEADLINE: Final = 30.0
_LINE_LIMIT: Final = 1 << 20


_REFUSALS: Final[dict[str, Callable[[], Blocked]]] = {
    "err-client-outdated": disconnect_reasons.outdated,
    "err-scanned-without-multidevice": without_multidevice,
    "passkey": lambda: Blocked(
        "WhatsApp asks for a passkey",
        action='This account can only be linked with a passkey, which the engine cannot do: set pairing to "auto".',
        condition=Condition.PASSKEY,
    ),
}
"""What the status means that ends a login (whatsmeow, qrchan.go)."""


def _refusal(line: log_lines.LogLine) -> ZapwireError | None:
    # There is no auth state yet that a wrong one could destroy.
    end = log_lines.end_of_connection(line)
    return end.logout if isinstance(end, disconnect_reasons.LogoutClaimed) else end


class ChildAttempt:
    """Implements `Attempt`."""

    def __init__(
        self,
        bot: str,
        file: AuthFile,
        noise_root: bytes | None,
        environment: dict[str, str],
        proxy: str | None = None,
        *,
        options: PairingOptions = PairingOptions(),  # noqa: B008 - frozen
        version: ClientVersion | None = None,
    ) -> None:
        """*version* is what the engine of the daemon announces."""
        self._bot = bot
        self._file = file
        self._options = options
        self._version = version
        self._noise_root = noise_root
        self._environment = environment
        self._proxy = proxy
        self._process: asyncio.subprocess.Process | None = None
        self._began = asyncio.get_running_loop().create_future()
        self._asking = asyncio.Lock()
        self._code: asyncio.Future[bytes] | None = None
        self._attempt = 0
        self._expires_at = datetime.now(UTC)
        self._ends_at = datetime.now(UTC) + PAIRING_LASTS
        self._refusal: ZapwireError | None = None

    async def run(self, emit: Emit) -> None:
        """See `Attempt.run`."""
        await self._file.prepare()
        self._process = await self._started()
        try:
            await self._tell({
                "library": str(library_path()),
                "noise_root": self._noise_root.hex() if self._noise_root else None,
                **self._file.for_child(),
                "bot": self._bot,
                "proxy": self._proxy,
                "revision": None if self._version is None else self._version.replaced,
                "device": base64.b64encode(device_props.wanted(self._options).SerializeToString()).decode(),
            })  # fmt: skip
            await self._converse(emit)
        finally:
            self._close_code()
            await asyncio.shield(_end(self._process))

    async def _started(self) -> asyncio.subprocess.Process:
        # cancelled halfway, asyncio's own call may leave a process behind that nobody knows of
        starting = spawn(self._start(), "start of a child that pairs", awaited=True)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.shield(_end_when_started(starting))
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "zapwire.transport.whatsapp_web.pairing.engine_child.child",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_LIMIT, env=self._environment,
        )  # fmt: skip

    async def code(self, phone: str) -> PairingCode:
        """See `Attempt.code`."""
        async with self._asking:
            try:
                async with asyncio.timeout(CODE_DEADLINE):
                    await asyncio.shield(self._began)
                    raw = await self._ask(phone)
            except TimeoutError:
                message = "WhatsApp gave no pairing code in time"
                raise TransportError(message) from None
        answer = neonize.PairPhoneReturnFunction.FromString(raw)
        if not answer.Error and not answer.Code:
            message = "the engine gave no pairing code"
            raise TransportError(message)
        if answer.Error:
            raise from_pair_phone_error(answer.Error)
        return PairingCode(answer.Code, self._ends_at)

    async def _ask(self, phone: str) -> bytes:
        parameters = neonize.PairPhoneParams(
            phone=phone, showPushNotification=True, clientType=CLIENT_CHROME, clientDisplayName=DISPLAY_NAME
        )
        self._code = asyncio.get_running_loop().create_future()
        await self._tell({"pair_phone": base64.b64encode(parameters.SerializeToString()).decode()})
        return await self._code

    async def _tell(self, request: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise Conflict("no pairing is under way")
        # A child that is gone is noticed, with its reason, where its answers are read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()

    async def _converse(self, emit: Emit) -> None:
        if self._process is None or self._process.stdout is None:
            raise Conflict("no pairing is under way")
        while True:
            line = await self._next_line(self._process.stdout)
            if not line:
                raise await self._died()
            answer = json.loads(line)
            if "paired" in answer:
                return
            await self._take(answer, emit)

    async def _next_line(self, lines: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(None if self._attempt else FIRST_QR_DEADLINE):
                return await lines.readline()
        except TimeoutError:
            raise unreachable("timeout") from None

    async def _take(self, answer: dict[str, Any], emit: Emit) -> None:
        if "qr" in answer:
            await self._show(answer["qr"], emit)
        elif "pair_phone" in answer:
            if self._code is not None and not self._code.done():
                self._code.set_result(base64.b64decode(answer["pair_phone"] or ""))
        elif "log" in answer:
            line = log_lines.LogLine.read(base64.b64decode(answer["log"]))
            log.debug("pairing engine: %s %s: %s", line.level, line.logger, line.text)
            self._refusal = self._refusal or _refusal(line)
        elif "error" in answer:
            raise self._refusal or from_start_error(answer["error"])
        elif answer.get("status") != "success":
            raise self._ended(answer.get("status", ""))

    async def _show(self, code: str, emit: Emit) -> None:
        now = datetime.now(UTC)
        self._attempt += 1
        if self._attempt == 1:
            self._ends_at = now + PAIRING_LASTS
        self._expires_at = now + timedelta(seconds=FIRST_QR_LASTS if self._attempt == 1 else NEXT_QR_LASTS)
        if not self._began.done():
            self._began.set_result(None)
        await emit(QrCode(code, self._expires_at, self._attempt))

    def _ended(self, status: str) -> ZapwireError:
        if self._refusal is not None:
            return self._refusal
        if status == "timeout" and datetime.now(UTC) >= self._expires_at - timedelta(seconds=1):
            return nobody_scanned()
        if status == "timeout":
            return lost()
        refusal = _REFUSALS.get(status.partition("-request")[0].partition("-response")[0])
        if refusal is not None:
            return refusal()
        return TransportError("the pairing failed on the way; scan a new code")

    async def _died(self) -> TransportError:
        code = await self._process.wait() if self._process is not None else None
        return TransportError(f"the pairing process ended by itself (exit status {code})")

    def _close_code(self) -> None:
        over = Conflict("the pairing is over")
        for future in (self._code, self._began):
            if future is not None and not future.done():
                future.set_exception(over)
                future.exception()  # nobody may be waiting


async def _end_when_started(starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
    with contextlib.suppress(OSError):  # it did not even begin
        await _end(await starting)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # Not `process.kill()`: it reaps a child that has just ended, and asyncio then misses its exit status.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    # Reads to the end, so that the pipe's transport is closed too.
    await process.communicate()
