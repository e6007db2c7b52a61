"""The functions that the engine calls for a client, which must outlive everything that may still call them.

A goroutine may call one after its client has been stopped (a log line of a task in the background), and a callback that
was freed meanwhile ends the process. So none is ever freed: each is lent to one session after the other, with a rest
between them that is longer than any late call. There are as many as sessions ran at once.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from zapwire.transport.whatsapp_web.engine.exports import EVENT_CALLBACK, LOG_CALLBACK, TEXT_CALLBACK
from zapwire.transport.whatsapp_web.engine.log_lines import TIME_LOCK_NAME, LogLine

log = logging.getLogger(__name__)

REST: Final = 600.0
"""Seconds between two sessions; the longest wait of the engine's own is 75."""


STANZAS: Final = tuple(b"\x12\x05DEBUG\x1a" + bytes((len(name),)) + name for name in (b"Client/Recv", b"Client/Send"))
"""How the serialized lines end that hold a stanza (`Neonize.LogEntry`: level, then logger, which no stranger names)."""


class EngineListener(Protocol):
    """Takes what the engine tells about one bot; called on the engine's threads."""

    def on_event(self, code: int, data: bytes) -> None:
        """An event; may block, which holds up the events behind it."""

    def on_log(self, line: LogLine) -> None:
        """A log line; must not block."""

    def on_qr(self) -> None:
        """The engine wants to pair inside the daemon, which must never happen."""


class Callbacks:
    """The four functions that the engine calls for one client; without a listener they do nothing."""

    def __init__(self) -> None:
        self.listener: EngineListener | None = None
        self.functions = (
            TEXT_CALLBACK(self._qr),
            TEXT_CALLBACK(lambda _bot, _text: None),
            EVENT_CALLBACK(self._event),
            LOG_CALLBACK(self._log),
        )

    def _qr(self, _bot: int, _text: bytes) -> None:
        if (listener := self.listener) is not None:
            listener.on_qr()

    def _event(self, _bot: int, data: int | None, size: int, code: int) -> None:
        if (listener := self.listener) is not None:
            listener.on_event(code, ctypes.string_at(data, size) if data else b"")

    def _log(self, data: int, size: int) -> None:
        entry = ctypes.string_at(data, size)
        if entry.endswith(STANZAS) and TIME_LOCK_NAME not in entry:
            return  # every stanza, of which only that one is news: docs/decisions/0025-limits.md
        line = LogLine.read(entry)
        log.debug("engine: %s %s: %s", line.level, line.logger, line.text)
        if (listener := self.listener) is not None:
            listener.on_log(line)


class CallbackPool:
    """Lends callbacks to sessions, on any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._all: list[Callbacks] = []
        self._resting: deque[tuple[float, Callbacks]] = deque()
        """Since when, the longest first."""

    def __len__(self) -> int:
        return len(self._all)

    def lend(self, listener: EngineListener) -> Callbacks:
        """Callbacks that call *listener* until they are given back."""
        with self._lock:
            if self._resting and self._now() - self._resting[0][0] >= REST:
                callbacks = self._resting.popleft()[1]
            else:
                callbacks = Callbacks()
                self._all.append(callbacks)
        callbacks.listener = listener
        return callbacks

    def give_back(self, callbacks: Callbacks) -> None:
        """The client is out of the engine's table and its thread has ended. One that never ends keeps its own."""
        callbacks.listener = None
        with self._lock:
            self._resting.append((self._now(), callbacks))
