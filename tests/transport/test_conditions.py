from __future__ import annotations

import pytest

from zapwire.errors import Blocked, LoggedOut, NotConnected, Refused, Restricted, TransportError
from zapwire.transport.whatsapp_web import conditions

LINES = [
    ("Got device removed stream error, sending LoggedOut event and deleting session", LoggedOut, "removed this device"),
    (
        "Got 401: logged out from another device connect failure, sending LoggedOut event and deleting session",
        LoggedOut,
        "out",
    ),
    (
        "Got 403: primary device was logged out connect failure, sending LoggedOut event and deleting session",
        LoggedOut,
        "locked",
    ),
    (
        "Got 406: logged out for unknown reason connect failure, sending LoggedOut event and deleting session",
        LoggedOut,
        "banned",
    ),
    (
        'Temporary ban connect failure: <failure code="104" expire="60" reason="402"/>',
        Blocked,
        "0:01:00: it sent the same",
    ),
    ('Temporary ban connect failure: <failure reason="402"/>', Blocked, "unknown"),
    ("Client outdated (405) connect failure (client version: 2.3000.1)", Blocked, "version"),
    ("Got replaced stream error, sending StreamReplaced event", Blocked, "another program"),
    ('Unknown connect failure: <failure reason="409"/>', Blocked, "failure 409"),
    ('Unknown connect failure: <failure reason="429"/>', TransportError, "failure 429"),
]


@pytest.mark.parametrize(("line", "kind", "words"), LINES)
def test_log_lines(line, kind, words):
    error = conditions.from_log_line(line)
    assert type(error) is kind
    assert words in error.detail


@pytest.mark.parametrize("line", ["Successfully authenticated", "Got 515 code, reconnecting...", "Keepalive timed out"])
def test_other_log_lines_end_nothing(line):
    assert conditions.from_log_line(line) is None
    assert conditions.reconnect_problem(line) is None


def test_reconnect_problems():
    line = "Error reconnecting after autoreconnect sleep: failed to dial: dial tcp: connect: connection refused"
    problem = conditions.reconnect_problem(line)
    assert problem is not None
    assert (problem.detail, problem.condition) == ("WhatsApp cannot be reached: connection refused", "unreachable")
    busy = conditions.reconnect_problem(
        "Got 503/service unavailable connect failure, assuming automatic reconnect will handle it"
    )
    assert busy is not None
    assert "failure 503" in busy.detail
    assert busy.condition == "busy"


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
    assert conditions.unreachable(dial).detail.startswith(f"WhatsApp cannot be reached: {words}")
    assert "/ws/chat" not in conditions.unreachable(dial).detail


def test_a_database_that_the_engine_cannot_open_is_not_taken_for_the_network():
    error = conditions.from_start_error("failed to upgrade database: no such column: x")
    assert error.detail == "the engine did not start: failed to upgrade database: no such column: x"
    error = conditions.from_start_error("failed to upgrade database: disk I/O error")
    assert isinstance(error, TransportError)
    assert (error.detail, error.condition) == ("its auth database cannot be used: the disk fails", "store")
    assert isinstance(conditions.from_start_error("noise handshake failed: EOF"), conditions.Unreachable)


SENDS = [
    ("no LID found for 4915519999999@s.whatsapp.net from server", Refused, "not on WhatsApp"),
    ("websocket not connected", NotConnected, "not connected"),
    (
        "failed to get user info for 4915519999999@s.whatsapp.net to fill LID cache: info query timed out",
        TransportError,
        "...",
    ),
    ("timed out waiting for message send response", TimeoutError, "confirm"),
    ("server returned error 463", Restricted, "new chats"),
    ("server returned error 400", Refused, "400"),
    ("server returned error 503", TransportError, "503"),
    ("failed to get group members: that group does not exist", Refused, "does not exist"),
    ("failed to get group members: you're not participating in that group", Refused, "not a member"),
]


@pytest.mark.parametrize(("text", "kind", "words"), SENDS)
def test_send_errors(text, kind, words):
    error = conditions.from_send_error(text)
    assert type(error) is kind
    assert words in str(error)
    assert "4915519999999" not in str(error)


PAIR_PHONE = [
    ("info query returned status 400: bad-request", Refused),
    ("international phone number required (must not start with 0)", Refused),
    ("info query returned status 429: rate-overlimit", TransportError),
    ("info query timed out", TransportError),
]


@pytest.mark.parametrize(("text", "kind"), PAIR_PHONE)
def test_pairing_code_errors(text, kind):
    assert type(conditions.from_pair_phone_error(text)) is kind


@pytest.mark.parametrize(("code", "kind"), [(6, LoggedOut), (7, Blocked), (10, Blocked)])
def test_events_that_end_a_connection(code, kind):
    assert type(conditions.from_event(code)) is kind


def test_a_damaged_database_is_seen_at_the_end_of_a_line_only():
    line = "Failed to decrypt message: failed to get session: database disk image is malformed"
    error = conditions.from_store_line(line)
    assert isinstance(error, Blocked)
    assert error.condition == "auth-damaged"
    full = conditions.from_store_line("Failed to save session: database or disk is full: no space left on device")
    assert isinstance(full, TransportError)
    assert (
        conditions.from_store_line("Business name changed to x: file is not a database: ha, dispatching event: no")
        is None
    )
    assert conditions.from_store_line("file is not a database") is None


def test_a_ban_says_until_when_and_every_end_has_its_code():
    ban = conditions.from_log_line('Temporary ban connect failure: <failure code="104" expire="60" reason="402"/>')
    assert isinstance(ban, Blocked)
    assert ban.until is not None
    codes = {conditions.from_log_line(line).condition.value for line, _, _ in LINES}  # type: ignore[union-attr]
    assert codes == {"logged-out", "locked", "banned", "outdated", "replaced", "refused", "busy"}


def test_a_limit_on_the_account_is_no_refusal_of_one_message():
    strangers = conditions.from_send_error("server returned error 463")
    assert isinstance(strangers, Restricted)
    assert strangers.strangers
    rate = conditions.from_send_error("server returned error 429")
    assert isinstance(rate, Restricted)
    assert not rate.strangers
