"""The end of a session, at the seam to the library: what the engine has taken is taken in before the client goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from zapwire.transport.whatsapp_web import codes
from zapwire.transport.whatsapp_web.session import DRAIN_QUIET, Session


class Library:
    """Tells one more message, a moment after the disconnect: it was on its way out of the engine."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.session: Session | None = None

    def disconnect(self, _bot: bytes) -> None:
        self.calls.append("disconnect")
        threading.Timer(DRAIN_QUIET / 2, self._tell).start()

    def _tell(self) -> None:
        assert self.session is not None
        self.calls.append("told")
        self.session.on_event(codes.MESSAGE, b"the last one")

    def stop(self, _bot: bytes) -> None:
        self.calls.append("stop")


class Gate:
    @contextmanager
    def call(self) -> Iterator[None]:
        yield

    def stop(self, function: Callable[[], None]) -> None:
        function()


async def test_a_message_on_its_way_at_the_disconnect_of_a_silent_bot_is_taken_in(monkeypatch: pytest.MonkeyPatch):
    library = Library()
    engine = SimpleNamespace(library=library, gate=Gate(), callbacks=lambda _: SimpleNamespace(listener=None))
    session = library.session = Session(engine, "shop", "dsn")
    monkeypatch.setattr(session.incoming, "_last_put", session.incoming._last_put - 60)  # silent for a minute
    session._settled.set()
    taken: list[bytes] = []

    async def take() -> None:
        while True:
            taken.append((await session.incoming.get())[1])
            session.incoming.done()

    taking = asyncio.create_task(take())
    await asyncio.to_thread(session._take_down)
    taking.cancel()
    assert library.calls == ["disconnect", "told", "stop"]
    assert taken == [b"the last one"]
