from __future__ import annotations

from typing import Any

import pytest

from zapwire.model import BotId, Identity
from zapwire.transport.whatsapp_web import bot as module
from zapwire.transport.whatsapp_web import codes


def reader(monkeypatch: pytest.MonkeyPatch, error: Exception) -> module.WhatsAppWebBot:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "read_message", fail)
    made = module.WhatsAppWebBot.__new__(module.WhatsAppWebBot)
    made._bot, made._identity = BotId("bot"), Identity()
    return made


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("x"), AttributeError("y"), RecursionError()])
async def test_an_event_that_breaks_the_reader_is_left_behind_with_a_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
):
    assert await reader(monkeypatch, error)._read(None, codes.MESSAGE, b"") is None
    assert "cannot be read and is lost" in caplog.text
    assert type(error).__name__ in caplog.text
