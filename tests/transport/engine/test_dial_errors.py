from __future__ import annotations

import pytest

from zapwire.model.errors import Blocked, TransportError
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable, from_start_error, unreachable
from zapwire.transport.whatsapp_web.engine.store_errors import from_store_text


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("Forbidden", "the proxy does not let it through (Forbidden)"),
        ("Proxy Authentication Required", "the proxy wants a user name and a password"),
        ("tls: first record does not look like a TLS handshake", "what answers there is not WhatsApp"),
        ("strange thing at 192.0.2.1:44333", "strange thing at ..."),
    ],
)
def test_dial_errors_are_told_without_the_steps_that_led_there(cause: str, words: str):
    dial = f'failed to dial whatsapp web websocket: failed to send: Get "https://web.whatsapp.com/ws/chat": {cause}'
    assert unreachable(dial).detail.startswith(f"WhatsApp cannot be reached: {words}")
    assert "/ws/chat" not in unreachable(dial).detail


def test_a_database_that_the_engine_cannot_open_is_not_taken_for_the_network():
    error = from_start_error("failed to upgrade database: no such column: x")
    assert error.detail == "the engine did not start: failed to upgrade database: no such column: x"
    error = from_start_error("failed to upgrade database: disk I/O error")
    assert isinstance(error, TransportError)
    assert (error.detail, error.condition) == ("its auth database cannot be used: the disk fails", "store")
    assert isinstance(from_start_error("noise handshake failed: EOF"), Unreachable)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("database disk image is malformed", "damaged"),
        ("file is not a database", "damaged"),
        ("no such table: whatsmeow_sessions", "damaged"),
        ("attempt to write a readonly database", "it cannot be written"),
        ("database or disk is full: no space left on device", "the disk is full"),
        ("disk I/O error: no space left on device", "the disk is full"),
        ("disk I/O error: input/output error", "the disk fails"),
        ("unable to open database file: too many open files", "cannot be opened"),
    ],
)
def test_what_sqlite_says_counts_at_the_end_of_an_error_only(said: str, words: str):
    for text in (said, f"failed to get session: {said}"):
        error = from_store_text(text)
        assert error is not None
        assert words in error.detail
        assert isinstance(error, Blocked) == (words == "damaged")
    assert from_store_text(f"{said}: but not really") is None
    assert from_store_text(f"{said} ") is None
