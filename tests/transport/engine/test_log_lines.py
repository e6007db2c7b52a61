"""Which lines of the engine's log mean something, and that no text of a stranger's in a line ever does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.model.errors import Blocked, LoggedOut, TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine import disconnect_reasons, log_lines
from zapwire.transport.whatsapp_web.engine.disconnect_reasons import LogoutClaimed
from zapwire.transport.whatsapp_web.engine.log_lines import LogLine
from zapwire.transport.whatsapp_web.engine.protos import neonize

ENDS = [
    ("INFO", "Got device removed stream error, sending LoggedOut event and deleting session", "removed this device"),
    (
        "INFO",
        "Got 401: logged out from another device connect failure, sending LoggedOut event and deleting session",
        "logged this device out",
    ),
    (
        "INFO",
        "Got 403: primary device was logged out connect failure, sending LoggedOut event and deleting session",
        "locked",
    ),
    (
        "INFO",
        "Got 406: logged out for unknown reason connect failure, sending LoggedOut event and deleting session",
        "banned",
    ),
    (
        "WARN",
        'Temporary ban connect failure: <failure code="104" expire="60" reason="402"/>',
        "0:01:00: it sent the same",
    ),
    ("WARN", 'Temporary ban connect failure: <failure reason="402"/>', "unknown"),
    ("ERROR", "Client outdated (405) connect failure (client version: 2.3000.1)", "version"),
    ("INFO", "Got replaced stream error, sending StreamReplaced event", "another program"),
    ("WARN", 'Unknown connect failure: <failure location="frc" reason="409"/>', "failure 409"),
    ("WARN", 'Unknown connect failure: <failure reason="429"/>', "failure 429"),
    ("WARN", "Unknown connect failure: <failure/>", "failure without a reason"),
]
RECONNECTS = [
    ("ERROR", "Error reconnecting after autoreconnect sleep: failed to dial: dial tcp: connect: connection refused"),
    ("ERROR", "Failed to reconnect after 515 code: failed to dial: dial tcp: connect: connection refused"),
    ("WARN", "Got 503/service unavailable connect failure, assuming automatic reconnect will handle it"),
    ("WARN", "Got 500/ connect failure, assuming automatic reconnect will handle it"),
]
STORE = [
    ("WARN", "Error decrypting message 3EB0 from 1@lid: failed to get session: database disk image is malformed"),
    ("ERROR", "Failed to save push name of 1@lid in device store: database or disk is full: no space left on device"),
    ("WARN", "Failed to delete store after device_removed error: attempt to write a readonly database"),
    ("ERROR", "Failed to migrate signal store from 1@s.whatsapp.net to 1@lid: no such table: whatsmeow_sessions"),
    ("ERROR", "Failed to get prekeys to upload: failed to query existing prekeys: disk I/O error"),
]
DOOMS = [
    ("INFO", "Got 413/ connect failure, refreshing CAT before reconnecting..."),
    ("INFO", "Got 414/some words connect failure, refreshing CAT before reconnecting..."),
]
SIGNS = [line[:2] for line in (*ENDS, *RECONNECTS, *STORE, *DOOMS)]


def means(line: LogLine) -> list[object]:
    """Everything that a line means."""
    judges = (log_lines.end_of_connection, log_lines.store_problem, log_lines.reconnect_problem, log_lines.doom)
    return [found for judge in judges if (found := judge(line)) is not None]


@pytest.mark.parametrize(("level", "text", "words"), ENDS)
def test_the_end_of_a_connection(level: str, text: str, words: str):
    error = log_lines.end_of_connection(LogLine("Client", level, text))
    assert error is not None
    judged: ZapwireError = error.logout if isinstance(error, LogoutClaimed) else error
    assert words in judged.detail


def test_a_line_alone_never_destroys_auth_state():
    found = [log_lines.end_of_connection(LogLine("Client", level, text)) for level, text, _ in ENDS]
    assert not [error for error in found if isinstance(error, LoggedOut)]
    assert sum(isinstance(error, LogoutClaimed) for error in found) == 4
    assert all(isinstance(error, TransportError) for error in found if isinstance(error, LogoutClaimed))


@pytest.mark.parametrize(("level", "text"), SIGNS)
def test_a_line_means_something_from_one_logger_at_one_level_and_whole(level: str, text: str):
    assert len(means(LogLine("Client", level, text))) == 1
    others = {"DEBUG", "INFO", "WARN", "ERROR", ""} - {level} - ({"WARN", "ERROR"} if (level, text) in STORE else set())
    for other in others:
        assert means(LogLine("Client", other, text)) == []
    for logger in ("Client/Recv", "Client/Send", "Client/Socket", "Database", "", "client"):
        assert means(LogLine(logger, level, text)) == []
    open_ended = (level, text) in RECONNECTS[:2]  # the rest of it is an error of the network
    for longer in (f" {text}", f"x: {text}", f"\n{text}", *([] if open_ended else [f"{text}\n."])):
        assert means(LogLine("Client", level, longer)) == []


def test_reconnect_problems():
    problems = [log_lines.reconnect_problem(LogLine("Client", level, text)) for level, text in RECONNECTS]
    assert [problem.condition.value for problem in problems if problem] == ["unreachable"] * 2 + ["busy"] * 2
    assert problems[0] is not None
    assert problems[0].detail == "WhatsApp cannot be reached: connection refused"
    assert problems[2] is not None
    assert "failure 503" in problems[2].detail


def test_the_doom_is_told_with_its_failure():
    assert [log_lines.doom(LogLine("Client", level, text)) for level, text in DOOMS] == ["413", "414"]


@pytest.mark.parametrize("text", ["Successfully authenticated", "Got 515 code, reconnecting...", "Keepalive timed out"])
def test_other_lines_mean_nothing(text: str):
    assert not [found for level in ("INFO", "WARN", "ERROR") for found in means(LogLine("Client", level, text))]


def test_a_ban_says_until_when_and_every_end_has_its_code():
    ban = log_lines.end_of_connection(LogLine("Client", *ENDS[4][:2]))
    assert isinstance(ban, Blocked)
    assert ban.until is not None
    found = [log_lines.end_of_connection(LogLine("Client", level, text)) for level, text, _ in ENDS]
    codes = {getattr(getattr(error, "logout", error), "condition", None) for error in found}
    assert codes == {"logged-out", "locked", "banned", "outdated", "replaced", "refused", "busy"}


@pytest.mark.parametrize("seconds", [0, -1, 999_999_999_999])
def test_a_ban_that_is_no_span_of_time_has_no_end(seconds: int):
    assert disconnect_reasons.banned(104, seconds).until is None


@pytest.mark.parametrize(
    "end",
    [
        disconnect_reasons.refused("463"),
        disconnect_reasons.refused("428"),
        disconnect_reasons.refused("400"),
        disconnect_reasons.banned(104, 0),
    ],
)
def test_a_bot_that_is_still_linked_is_not_told_to_wait_for_a_qr_code(end: ZapwireError):
    assert isinstance(end, Blocked)
    assert "QR" not in (end.action or "")


@pytest.mark.parametrize(("code", "kind"), [(6, LoggedOut), (7, Blocked), (10, Blocked)])
def test_events_that_end_a_connection(code: int, kind: type[ZapwireError]):
    assert type(disconnect_reasons.from_event(code)) is kind


def test_a_damaged_database_is_seen_at_the_end_of_a_line_only():
    def problem(text: str, level: str = "WARN") -> ZapwireError | None:
        return log_lines.store_problem(LogLine("Client", level, text))

    error = problem("Error decrypting message 3EB0 from 1@lid: failed to get session: database disk image is malformed")
    assert isinstance(error, Blocked)
    assert error.condition == "auth-damaged"
    full = problem("Failed to save push name of 1@lid in device store: database or disk is full", "ERROR")
    assert isinstance(full, TransportError)
    assert (
        problem("Error decrypting message x: file is not a database from 1@lid: failed to unpad message: bad") is None
    )
    assert problem("Failed to parse message: file is not a database") is None
    assert problem("file is not a database") is None


def test_a_line_that_is_no_text_is_read_all_the_same():
    entry = neonize.LogEntry(Message="", Level="WARN", Name="Client").SerializeToString() + b"\x0a\x04Got\xff"
    assert LogLine.read(entry) == LogLine("Client", "WARN", "Got�")


# Formats of the engine's lines from INFO on into which a stranger's text gets: stanzas with push names, group subjects
# and business names, ids and types that the sender chooses, addresses. `{}` is where it stands.
HOSTILE = [
    ("WARN", "Node handling took 6.4s for {}"),
    ("WARN", "Node handling is taking long for {} (started 30s ago)"),
    ("WARN", "Continuing handling of {} in background as it's taking too long"),
    ("WARN", 'Node handling took 5.1s for <message from="1@lid" id="A" notify="{}" t="1" type="text"/>'),
    ("WARN", 'Node handling took 5.1s for <notification from="1@g.us"><create><group subject="{}"/></create></n>'),
    ("ERROR", "Unknown stream error: {}"),
    ("WARN", "Unexpected node in grouped receipt participants: {}"),
    ("WARN", "Failed to parse user node {} in grouped receipt: missing"),
    ("WARN", "Didn't get number of OTKs left in encryption notification {}"),
    ("INFO", "Got prekey count from server: {}"),
    ("WARN", "Unexpected data in blocklist event child {}: missing"),
    ("WARN", "privacy_token notification contained unexpected <{}> tag"),
    ("WARN", "privacy_token notification contained unexpected token type {}"),
    ("WARN", "Unrecognized chat presence state {}"),
    ("WARN", "Failed to parse message: {}"),
    ("WARN", "Failed to parse receipt: {}"),
    ("WARN", "Failed to parse verified_name node in {}: {}"),
    ("WARN", "Failed to parse <bot> node in {}: {}"),
    ("WARN", "Unavailable message {} from {} (type: {})"),
    ("WARN", "Unhandled encrypted message (type {}) from {}"),
    ("WARN", "Error decrypting message {} from {}: failed to decrypt normal message: bad MAC"),
    ("WARN", "Error decrypting message {} from {}: message secret for {} not found"),
    ("WARN", "Ignoring message {} from {}: received message with old counter"),
    ("WARN", "Handler for {} failed"),
    ("ERROR", "Failed to store message secret key for {}: context canceled"),
    ("ERROR", "Failed to handle retry receipt for {}/{} from {}: couldn't find message {}"),
    ("WARN", "{}'s device list hash changed from {} to {} (add). New hash doesn't match ({})"),
    ("ERROR", "Failed to save push name of {} in device store: database is locked"),
    ("WARN", "Not sending any more retry receipts for {}"),
    ("WARN", "Dropping retry request from {} for {}: internal retry counter is 10"),
    ("WARN", "Error parsing group {}: {}"),
    ("WARN", "Failed to download media: {}, trying with next host..."),
]
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from([text for _, text in SIGNS]),
    st.tuples(st.text(max_size=5), st.sampled_from([text for _, text in SIGNS]), st.text(max_size=5)).map("".join),
    st.sampled_from([f"\n{text}\n" for _, text in SIGNS]),
    st.sampled_from(["x: file is not a database", 'x" reason="401"/>', "1@lid: database disk image is malformed"]),
)


@given(st.sampled_from(HOSTILE), st.lists(TEXTS, min_size=4, max_size=4))
def test_no_text_of_a_stranger_is_a_sign_wherever_it_stands(line: tuple[str, str], texts: list[str]):
    level, form = line
    filled = re.sub(r"\{\}", lambda _: texts.pop(), form)
    assert means(LogLine("Client", level, filled)) == []


@given(st.sampled_from(["INFO", "WARN", "ERROR"]), TEXTS, TEXTS)
def test_a_dump_of_a_stanza_is_never_a_sign(level: str, name: str, subject: str):
    stanza = f'<message notify="{name}"><enc v="2"/><body>{subject}</body></message>'
    for form in (
        "Node handling took 6s for {}",
        "Continuing handling of {} in background as it's taking too long",
        "{}",
    ):
        assert means(LogLine("Client", level, form.format(stanza))) == []


LOCKED = '{"data":{"xwa2_notify_account_reachout_timelock":{"is_active":true,"time_enforcement_ends":"%s"}}}'


def notification(content: str, head: str = '<notification from="s.whatsapp.net" id="1" type="mex">') -> LogLine:
    return LogLine("Client/Recv", "DEBUG", f"{head}<update>{content}</update></notification>")


def test_a_time_lock_is_read_whatever_its_end() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    found = log_lines.time_lock(notification(LOCKED % int(soon.timestamp())))
    assert found is not None
    assert found.until == soon.replace(microsecond=0)
    for odd in ("999999999999", "0"):
        lock = log_lines.time_lock(notification(LOCKED % odd))
        assert lock is not None
        assert lock.until is not None
        assert lock.until < datetime.now(UTC) + timedelta(days=367)
    over = '{"xwa2_notify_account_reachout_timelock":{"is_active":false}}'
    assert log_lines.time_lock(notification(over)) == log_lines.TimeLock(None)
    endless = log_lines.time_lock(notification(over.replace("false", "true")))
    assert endless is not None
    assert endless.until is not None


@pytest.mark.parametrize(
    "line",
    [
        notification(LOCKED % 1, '<notification from="491510000001@s.whatsapp.net" type="mex">'),
        notification(LOCKED % 1, '<notification from="s.whatsapp.net" type="status">'),
        LogLine("Client/Recv", "DEBUG", f"<message>{LOCKED % 1}</message>"),
        LogLine("Client", "INFO", notification(LOCKED % 1).text),
        LogLine("Client/Send", "DEBUG", notification(LOCKED % 1).text),
    ],
)
def test_what_others_write_is_no_time_lock(line: LogLine) -> None:
    assert log_lines.time_lock(line) is None
