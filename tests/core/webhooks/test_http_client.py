"""One attempt against receivers that do what receivers do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.core.receiver import receiver
from tests.core.scripted import LOOPBACK
from zapwire.core.network.ssrf_guard import SsrfGuard
from zapwire.core.webhooks import signing
from zapwire.core.webhooks.http_client import HttpClient
from zapwire.core.webhooks.outcome import Outcome
from zapwire.core.webhooks.prepared_request import PreparedRequest
from zapwire.core.webhooks.signing import Signer
from zapwire.model import timestamps
from zapwire.model.bots import NO_BOT
from zapwire.model.events import Event, EventType, Payload

Post = Callable[..., Any]
EVENT = Event(1, "evt_1", EventType.BOT_STATE, timestamps.now(), NO_BOT, Payload(b"{}"))
FOREVER = 1 << 30


@asynccontextmanager
async def client() -> AsyncIterator[Post]:
    async with HttpClient(SsrfGuard(LOOPBACK)) as made:

        async def post(url: str, seconds: float = 10, **headers: str) -> Outcome:
            request = PreparedRequest(url, Signer(signing.new_keys(None, ed25519=False)), headers)
            return await made.post(request, EVENT, seconds)

        yield post


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (204, None),
        (299, None),
        (304, "it answered 304: redirects are not followed, give the final address"),
        (307, "it answered 307: redirects are not followed, give the final address"),
        (404, "it answered 404"),
        (410, "it answered 410"),
        (500, "it answered 500"),
    ],
)
async def test_only_2xx_is_taken(status: int, error: str | None):
    async with receiver() as hook, client() as post:
        hook.answer = lambda body: web.Response(status=status, headers={"Location": hook.url})
        outcome = await post(hook.url)
        assert (outcome.status, outcome.error, outcome.gone) == (status, error, status == 410)
        assert len(hook.got) == 1


async def test_own_headers_go_along_and_cannot_replace_ours():
    async with receiver() as hook, client() as post:
        await post(hook.url, **{"authorization": "Bearer x", "User-Agent": "mine", "x-a": "b"})
        [sent] = [{name.lower(): value for name, value in one.items()} for one in hook.headers]
        assert len(sent) == len(hook.headers[0])
        assert (sent["authorization"], sent["user-agent"], sent["x-a"]) == ("Bearer x", "mine", "b")
        assert (sent["content-type"], sent["webhook-id"]) == ("application/json", "evt_1")
        assert "cookie" not in sent


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Sat, 31 Jan 2026 13:00:00 GMT", 3600.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("-0", None),
        ("", None),
        (" 7 ", 7.0),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("\u0663", None),
        ("NaN", None),
        ("Sat, 31 Jan 2026 13:00:00", 3600.0),
        ("Sat, 31 Jan 9999 13:00:00 GMT", 251_603_542_800.0),
        ("Sat, 31 Jan 2026 13:00:00 +9999999999", None),
        ("Sat, 31 Jan 99999999999999999999 13:00:00 GMT", None),
        ("Sat, 99 Jan 2026 25:61:61 GMT", None),
        (", , , , ,", None),
        ("9" * 400, 999_999_999.0),
    ],
)
async def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timestamps, "now", lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))
    async with receiver() as hook, client() as post:
        hook.answer = lambda body: web.Response(status=429, headers={"Retry-After": value})
        outcome = await post(hook.url)
        assert outcome.retry_after == seconds


async def answering(request: web.Request, status: int, body: bytes, length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Length": str(length)})
    await response.prepare(request)
    await response.write(body)
    return response


async def test_of_a_huge_answer_four_kilobytes_are_read():
    written = 0

    async def huge(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Length": str(FOREVER)})
        await response.prepare(request)
        try:
            while written < FOREVER:
                await response.write(b"x" * 65536)
                written += 65536
        except (ConnectionError, asyncio.CancelledError):
            pass
        return response

    async with receiver() as hook, client() as post:
        hook.stream = huge
        outcome = await post(hook.url)
        assert (outcome.error, outcome.answer, outcome.cut) == (None, b"x" * 4096, True)
        await hook.until(lambda: hook.at_once == 0)
        assert written < FOREVER / 50  # what the buffers of two sockets take


async def test_a_compressed_bomb_stays_what_it_is():
    async with receiver() as hook, client() as post:
        hook.answer = lambda body: web.Response(body=b"\x1f\x8b" + b"z" * 100, headers={"Content-Encoding": "gzip"})
        outcome = await post(hook.url)
        assert (outcome.error, outcome.answer[:2]) == (None, b"\x1f\x8b")
        assert hook.headers[0]["Accept-Encoding"] == "identity"


async def test_the_status_decides_when_the_body_breaks_off():
    async def broken(request: web.Request) -> web.StreamResponse:
        response = await answering(request, 201, b"half", 100)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with receiver() as hook, client() as post:
        hook.stream = broken
        outcome = await post(hook.url)
        assert (outcome.status, outcome.error, outcome.answer, outcome.cut) == (201, None, b"half", True)
        assert len(hook.got) == 1


async def test_what_hangs_is_given_up_before_and_after_the_status():
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def hang_later(request: web.Request) -> web.StreamResponse:
        await answering(request, 500, b"wait", 100)
        return await hang(request)

    async with receiver() as hook, client() as post:
        hook.stream = hang
        outcome = await post(hook.url, 0.2)
        assert (outcome.status, outcome.error) == (None, "it did not answer in time")
        assert outcome.duration_ms >= 200
        hook.stream = hang_later
        outcome = await post(hook.url, 0.2)
        assert (outcome.status, outcome.error, outcome.answer) == (500, "it answered 500", b"wait")


async def test_one_that_closes_without_an_answer_is_asked_twice_at_most():
    async def close(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with receiver() as hook, client() as post:
        hook.stream = close
        outcome = await post(hook.url)
        assert outcome.error in {
            "it closed the connection without an answer",
            "cannot be reached: Connection reset by peer",
        }
        assert len(hook.got) == 2


async def test_what_is_not_http(tmp_path: Path):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH_9\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, client() as post:
        port = server.sockets[0].getsockname()[1]
        assert (await post(f"http://127.0.0.1:{port}/")).error == "its answer is not HTTP"
        assert (await post(f"https://127.0.0.1:{port}/")).error == "the TLS connection failed"


async def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client() as post:
            outcome = await post(f"http://127.0.0.1:{taken.getsockname()[1]}/hook")
    assert outcome.error == "cannot be reached: Connection refused"


def untrusted(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    file = folder / "pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path):
    async with receiver(tls=untrusted(tmp_path)) as hook, client() as post:
        outcome = await post(hook.url)
        assert outcome.error == "its certificate is not trusted: self-signed certificate"
        assert hook.got == []


async def test_a_kept_connection_that_was_just_closed_is_no_failure():
    async with client() as post:
        async with receiver() as hook:
            assert (await post(hook.url)).error is None
            port = hook.port
        async with receiver(port) as hook:
            assert (await post(hook.url)).error is None
