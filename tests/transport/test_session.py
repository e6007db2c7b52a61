"""A session at the seam to the library: what the engine has taken is taken in, and what it only logs is told."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import Any, Self

from tests.transport.inbound.test_decode import OWN, undecryptable
from zapwire.runtime.tasks import spawn
from zapwire.transport.protocol import Withheld
from zapwire.transport.whatsapp_web.engine import event_codes
from zapwire.transport.whatsapp_web.engine.engine import Engine
from zapwire.transport.whatsapp_web.engine.event_pump import PumpEnded
from zapwire.transport.whatsapp_web.engine.log_lines import LogLine
from zapwire.transport.whatsapp_web.inbound import decode
from zapwire.transport.whatsapp_web.session import DRAIN_QUIET, EngineSession


class ScriptedLibrary:
    """A client that runs until it is stopped, or until its pump ends."""

    table = None

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.over = threading.Event()
        self.said = ""
        self.at_the_disconnect: bytes | None = None
        """A message that is on its way out of the engine at the disconnect, and told a moment later."""
        self._callbacks: Any = None

    def start(self, *arguments: Any, proxy: str | None = None, log_level: str = "INFO") -> str:
        self._callbacks = arguments[-1]
        self.tell(event_codes.DEVICE, b"")
        self.over.wait()
        return self.said

    def tell(self, code: int, data: bytes) -> None:
        buffer = ctypes.create_string_buffer(data, max(1, len(data)))
        self._callbacks[2](None, ctypes.addressof(buffer), len(data), code)

    def started(self, _bot: bytes) -> None:
        pass

    def disconnect(self, _bot: bytes) -> None:
        self.calls.append("disconnect")
        if self.at_the_disconnect is not None:
            told, self.at_the_disconnect = self.at_the_disconnect, None

            def late() -> None:
                self.calls.append("told")
                self.tell(event_codes.MESSAGE, told)

            threading.Timer(DRAIN_QUIET / 2, late).start()

    def stop(self, _bot: bytes) -> None:
        self.calls.append("stop")
        self.over.set()


class Running:
    """A started session, and what comes out of it."""

    def __init__(self, library: ScriptedLibrary) -> None:
        self.engine = Engine(library)  # type: ignore[arg-type]
        self.session = EngineSession(self.engine, "shop", "dsn")
        self.taken: list[tuple[int, bytes]] = []

    async def __aenter__(self) -> Self:
        self._taking = spawn(self._take(), "taking")
        await self.session.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.stop()
        self._taking.cancel()
        self.engine.close()

    async def _take(self) -> None:
        while True:
            code, data, _ = await self.session.incoming.get()
            self.taken.append((code, data))
            self.session.incoming.done()


async def test_a_message_on_its_way_at_the_disconnect_of_a_silent_bot_is_taken_in():
    library = ScriptedLibrary()
    async with Running(library) as running:
        await asyncio.sleep(2 * DRAIN_QUIET)  # so long silent that silence could be mistaken for the end
        library.at_the_disconnect = b"the last one"
    assert library.calls == ["disconnect", "told", "stop"]
    assert running.taken == [(event_codes.MESSAGE, b"the last one")]


async def test_its_callbacks_are_given_back_when_it_is_over():
    library = ScriptedLibrary()
    async with Running(library) as running:
        [callbacks] = running.engine.callbacks._all
        assert callbacks.listener is running.session
    await running.session.gone.wait()
    assert callbacks.listener is None
    assert [one for _, one in running.engine.callbacks._resting] == [callbacks]


async def test_a_client_without_its_pump_is_disconnected_before_anybody_else_hears_of_it():
    library = ScriptedLibrary()
    async with Running(library) as running:
        library.said = "proto: required field neonize.Receipt.Type not set"
        library.over.set()
        error = await running.session.failed
        assert library.calls == ["disconnect"]
        assert isinstance(error, PumpEnded)
        assert error.said == library.said
    assert library.calls == ["disconnect", "disconnect", "stop"]


async def test_the_kind_of_what_is_unavailable_comes_from_the_log_and_what_is_lost_too():
    library = ScriptedLibrary()
    async with Running(library) as running:
        for text in (
            'Unavailable message ABC from 222:3@lid (type: "view_once")',
            'Unavailable message another from 222:3@lid (type: "")',
            "Error unmarshaling decrypted message from 222:3@lid in 123@g.us: proto: cannot parse invalid wire-format",
            "Unhandled encrypted message (type x) from 9@lid) from 222:3@lid",
        ):
            running.session.on_log(LogLine("Client", "WARN", text))
        library.tell(event_codes.UNDECRYPTABLE, undecryptable(IsUnavailable=True))
        library.tell(event_codes.UNDECRYPTABLE, undecryptable(IsUnavailable=True))
    told = [decode.read_event(code, data, OWN) for code, data in running.taken]
    found = [one.message for one in told if isinstance(one, Withheld)]
    assert [(one.reason.value, one.kind, one.id) for one in found] == [
        ("unreadable", None, None),
        ("unreadable", None, None),
        ("unavailable", "view_once", "ABC"),
        ("unavailable", None, "ABC"),
    ]
    assert [one.chat.jid for one in found if one.chat] == ["123@g.us", "222@lid", "222@lid", "222@lid"]


async def test_lines_that_never_get_their_event_are_forgotten():
    async with Running(ScriptedLibrary()) as running:
        for number in range(1000):
            line = f'Unavailable message {number} from 222@lid (type: "view_once")'
            running.session.on_log(LogLine("Client", "WARN", line))
        running.session.on_event(event_codes.UNDECRYPTABLE, undecryptable(IsUnavailable=True))
    [(code, data)] = running.taken
    assert decode.read_event(code, data, OWN).message.kind is None
