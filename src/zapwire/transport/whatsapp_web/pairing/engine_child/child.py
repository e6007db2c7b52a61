"""The short-lived process in which a bot is paired.

An unfinished pairing never leaves the engine (docs/engine.md's E3), so it gets a process of its own that can be killed.
No protobuf, and of other packages only what sealing needs: it has to be quick. Requests come as JSON lines on stdin,
answers go as JSON lines to what was stdout at the start; fd 1 itself is closed to the engine, which prints secrets
there (E14).

Requests: {"library", "noise_root" (hex or null), "revision" (to announce,
or null), "dsn", "bot", "device" (base64), "seal" (of a sealed auth database
only: {"path", "head", "key"}, the latter two in hex)} once, then {"pair_phone": base64}.
Answers: {"qr": code}, {"pair_phone": base64, or null when the engine gave no answer}, {"status": how the login ended},
{"log": base64 LogEntry}, {"error": text}, and {"paired": true} as the last one.

The process ends itself as soon as WhatsApp has confirmed the pairing and before it logs in: the daemon's own first
login is to get what waits. WhatsApp confirms with stream error 515, and the engine logs that line before it acts on
it.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from zapwire.model.errors import TransportError
from zapwire.runtime.hardening import die_with_parent
from zapwire.transport.whatsapp_web.engine.event_codes import CONNECTED
from zapwire.transport.whatsapp_web.engine.exports import EVENT_CALLBACK, LOG_CALLBACK, TEXT_CALLBACK
from zapwire.transport.whatsapp_web.engine.library import Library, WrongVersion
from zapwire.transport.whatsapp_web.engine.private.announced_version import VersionNotFound
from zapwire.transport.whatsapp_web.engine.private.noise_root import NoiseRootError

_CONFIRMED = b"Got 515 code, reconnecting..."
CONFIRMED = b"\x0a" + bytes((len(_CONFIRMED),)) + _CONFIRMED + b"\x12\x04INFO\x1a\x06Client"
"""How that line is told: a `Neonize.LogEntry`, of which Go writes the fields in order."""
CONFIRMATION_DEADLINE = 10.0
"""Seconds after the device was stored in which the confirmation should come; without it the daemon tries the login
anyway.
"""


class Child:
    """The conversation with the daemon, and the engine's callbacks."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        self.started = threading.Event()
        """The client is in the engine's table: it asks for a QR code."""
        self.callbacks = (
            TEXT_CALLBACK(self._on_qr),
            TEXT_CALLBACK(self._on_status),
            EVENT_CALLBACK(self._on_event),
            LOG_CALLBACK(self._on_log),
        )

    def answer(self, answer: dict[str, Any]) -> None:
        """Write one line to the daemon."""
        with self._lock:
            self._answers.write(json.dumps(answer).encode() + b"\n")
            self._answers.flush()

    def _on_qr(self, _bot: int, code: bytes) -> None:
        self.started.set()
        self.answer({"qr": code.decode()})

    def _on_status(self, _bot: int, status: bytes) -> None:
        self.answer({"status": status.decode(errors="replace")})
        if status == b"success":
            timer = threading.Timer(CONFIRMATION_DEADLINE, self._finish)
            timer.daemon = True
            timer.start()

    def _on_event(self, _bot: int, _data: int | None, _size: int, code: int) -> None:
        if code == CONNECTED:  # the confirmation was missed: leave before messages come in
            self._finish()

    def _on_log(self, data: int, size: int) -> None:
        entry = ctypes.string_at(data, size)
        if entry == CONFIRMED:
            self._finish()
        self.answer({"log": base64.b64encode(entry).decode()})

    def _finish(self) -> None:
        self.answer({"paired": True})
        os._exit(0)


def main() -> None:
    """Pair one bot, as the first line on stdin says."""
    answers = _keep_stdout()
    die_with_parent()
    child = Child(answers)
    requests = sys.stdin.buffer
    request = json.loads(requests.readline() or b"{}")
    if not request:
        return
    root = request["noise_root"]
    try:
        library = Library(Path(request["library"]), bytes.fromhex(root) if root else None)
        if (revision := request["revision"]) is not None:
            library.announce(revision)
    except (OSError, NoiseRootError, VersionNotFound, WrongVersion) as error:
        child.answer({"error": f"the WhatsApp engine cannot be used: {error}"})
        return
    if (sealing := request.get("seal")) is not None:
        _register(Path(request["library"]), sealing)
    bot = request["bot"].encode()
    threading.Thread(target=_serve, args=(requests, child, library, bot), daemon=True).start()
    device = base64.b64decode(request["device"])
    dsn, events = request["dsn"].encode(), bytes((CONNECTED,))
    ended = library.start(dsn, bot, events, device, child.callbacks, proxy=request["proxy"])
    child.answer({"error": ended})
    os._exit(0)


def _register(library: Path, sealing: dict[str, str]) -> None:
    """Let the engine open the one sealed database that this process has the key of."""
    from zapwire.vault.handlers import SealedFile  # noqa: PLC0415 - 60 ms that a plain one does not need
    from zapwire.vault.sealed_pages import FileKeys  # noqa: PLC0415
    from zapwire.vault.vfs import Vfs  # noqa: PLC0415

    keys = FileKeys(bytes.fromhex(sealing["head"]), bytes.fromhex(sealing["key"]))
    Vfs.of(library).add(SealedFile(sealing["path"], keys))


def _keep_stdout() -> BinaryIO:
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return answers


def _serve(requests: BinaryIO, child: Child, library: Library, bot: bytes) -> None:
    for line in requests:
        parameters = base64.b64decode(json.loads(line)["pair_phone"])
        child.started.wait()
        library.started(bot)
        try:
            answer = base64.b64encode(library.pair_phone(bot, parameters)).decode()
        except TransportError:
            answer = None
        child.answer({"pair_phone": answer})
    os._exit(0)  # the daemon is gone, or has closed the conversation


if __name__ == "__main__":
    main()
