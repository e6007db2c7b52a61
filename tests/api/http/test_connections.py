"""Connections are bounded in number and time, and whatever comes over them is answered or closed without a fuss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import TOKEN, Api, open_api
from tests.harness.daemon import Daemon
from zapwire.api.http import client_connections, listener, requests
from zapwire.api.http.lifetimes import ENDINGS
from zapwire.api.streaming import sse, websocket
from zapwire.api.streaming.common import STREAMS
from zapwire.runtime.log_rate_limit import LogLimit

AUTH = f"Authorization: Bearer {TOKEN}\r\n"
HOST = "Host: localhost\r\n"
UPGRADE = f"GET /v1/events HTTP/1.1\r\n{HOST}{AUTH}Upgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes tenths of one."""
    for module, name in (
        *((client_connections, name) for name in ("HEAD_WAIT", "IDLE_WAIT", "WRITE_WAIT", "SETTLED")),
        (requests, "BODY_WAIT"),
        (listener, "SWEEP_EVERY"),
    ):
        monkeypatch.setattr(module, name, {"SWEEP_EVERY": 0.05, "SETTLED": 0}.get(name, 0.3))


@pytest_asyncio.fixture
async def small(quick: None, tmp_path: Path) -> AsyncIterator[Api]:
    """At most 16 connections, 3 of them streams."""
    async for one in open_api(tmp_path, max_streams=3, max_connections=16):
        yield one


def port(api: Api) -> int:
    return int(api.url.rpartition(":")[2])


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that still comes, up to the end of the connection however it ends."""
    got = b""
    try:
        async with asyncio.timeout(10):
            while piece := await reader.read(1 << 16):
                got += piece
    except ConnectionError:
        pass
    return got


@pytest.mark.parametrize(
    "said",
    [
        "",
        "GET /v1/bo",
        f"GET /livez HTTP/1.1\r\n{HOST}X-More: ",
        f"GET /livez HTTP/1.1\r\n{HOST}\r\n",
        f"GET /livez HTTP/1.1\r\n{HOST}\r\nGET /livez HT",
        f"POST /v1/bots HTTP/1.1\r\n{HOST}{AUTH}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{",
        f"POST /v1/bots HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{",
        f"POST /v1/bots/a/connect HTTP/1.1\r\n{HOST}{AUTH}Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_who_does_not_go_on_is_closed(small: Api, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_connections, "LINGER", 0.3)
    async with small.http.ws_connect(small.url + "/v1/events", headers=small.headers) as follower:
        reader, writer = await asyncio.open_connection("127.0.0.1", port(small))
        writer.write(said.encode())
        answer = await rest(reader)
        writer.close()
        if said.startswith("GET /livez") and "\r\n\r\n" in said:
            assert answer.startswith(b"HTTP/1.1 200 ")
        elif AUTH in said:
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert json.loads(body)["code"] == "request-timeout"
        await small.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
        waiting = asyncio.create_task(small.call("GET", "/v1/events?after=0&types=bot.qr&wait=1"))
        assert (await waiting)["events"] == [], "who waits for something is not cut off"
        assert not follower.closed


async def test_a_client_that_takes_nothing_of_its_answer_is_closed(small: Api) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port(small)))
        # more than the kernel takes for somebody who reads nothing
        await loop.sock_sendall(client, f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n".encode() * 150)
        async with asyncio.timeout(15):
            while len(small.connections):  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.05)


async def test_a_client_that_takes_what_comes_is_kept_however_much_waits_for_it(small: Api) -> None:
    async with small.http.ws_connect(small.url + "/v1/events", headers=small.headers):
        [one] = [one for one in small.connections._all if one.in_use]
        plain, now = one.link, one.since
        assert plain is not None
        try:
            # Of what waits some is taken between two looks, and as much is added; once nearly all was.
            for waits in (60_000, 17_000, *(60_000, 20_000) * 200):
                one.link = Full(waits)  # type: ignore[assignment]
                now += client_connections.WRITE_WAIT * 0.3
                assert not small.connections._is_over(one, now)
            over = []
            for waits in (30_000, 30_000, 40_000, 50_000):
                one.link = Full(waits)  # type: ignore[assignment]
                now += client_connections.WRITE_WAIT * 0.3
                over.append(small.connections._is_over(one, now))
            assert over == [False, False, False, True], "nothing was taken"
        finally:
            one.link = plain


class Full:
    """A transport in which so many bytes wait."""

    def __init__(self, waits: int) -> None:
        self._waits = waits

    def get_write_buffer_size(self) -> int:
        return self._waits

    def abort(self) -> None:
        """Nothing is closed here."""


async def test_the_silent_make_room_and_the_others_are_served(small: Api) -> None:
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", port(small))))
            assert (await small.ask("GET", "/livez", headers={"Connection": "close"}))[0] == 200
            assert len(small.connections) <= 16
        async with small.http.ws_connect(small.url + "/v1/events", headers=small.headers) as follower:
            for _ in range(60):
                stack.enter_context(socket.create_connection(("127.0.0.1", port(small))))
            await small.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
            await small.call("POST", "/v1/bots/shop/connect")
            assert (await follower.receive_json(timeout=5))["bot"] == "shop"


async def test_an_answer_on_its_way_is_not_cut_off_while_others_are_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_connections, "SETTLED", 0)
    loop = asyncio.get_running_loop()
    async for api in open_api(tmp_path, max_streams=3, max_connections=16):
        with ExitStack() as stack, socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.settimeout(0)
            await loop.sock_connect(slow, ("127.0.0.1", port(api)))
            ask = f"GET /livez HTTP/1.1\r\n{HOST}\r\n"
            await loop.sock_sendall(slow, ask.encode())
            assert (await loop.sock_recv(slow, 4096)).startswith(b"HTTP/1.1 200 ")
            [served] = api.connections._all
            assert served.link is not None
            # A small buffer on the server's side: a few answers fill it, and are read again in a moment.
            served.link.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            ask = f"GET /openapi.json HTTP/1.1\r\n{HOST}"
            await loop.sock_sendall(slow, f"{ask}\r\n".encode() * 4 + f"{ask}Connection: close\r\n\r\n".encode())
            async with asyncio.timeout(15):
                while not any(one.unsent_now for one in api.connections._all):  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(0.01)
            for _ in range(40):
                idle = stack.enter_context(socket.create_connection(("127.0.0.1", port(api))))
                idle.settimeout(0)
                await loop.sock_sendall(idle, f"GET /livez HTTP/1.1\r\n{HOST}\r\n".encode())
                assert (await loop.sock_recv(idle, 4096)).startswith(b"HTTP/1.1 200 ")
            got = bytearray()
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(60):
                    while piece := await loop.sock_recv(slow, 1 << 20):
                        got += piece
            assert got.count(b"HTTP/1.1 200 ") == 5


async def test_an_event_stream_whose_last_word_does_not_fit_holds_up_no_stop(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "LAST_WORD", 0.1)
    loop = asyncio.get_running_loop()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(0)
        await loop.sock_connect(slow, ("127.0.0.1", port(api)))
        ask = f"GET /v1/events HTTP/1.1\r\n{HOST}{AUTH}Accept: text/event-stream\r\n\r\n"
        await loop.sock_sendall(slow, ask.encode())
        assert await loop.sock_recv(slow, 4096)
        [stream] = [one for one in api.connections._all if one.in_use]
        assert stream.link is not None
        stream.link.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await api.call("POST", "/v1/bots", {"id": "shop", "name": "x" * 90, "autostart": False})
        turn = 0
        while stream.unsent_now < 8000:
            await api.call("PATCH", "/v1/bots/shop", {"name": f"{turn:090}"})
            turn += 1
        stream.link.set_write_buffer_limits(high=stream.unsent_now)  # one more byte, and writing has to wait
        api.app[ENDINGS].stop()
        async with asyncio.timeout(10):
            await api.app[STREAMS].none_left()


async def test_when_all_are_in_use_the_next_is_told(small: Api) -> None:
    await small.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
    after = await small.core.subscriptions.last_seq()
    async with AsyncExitStack() as stack:
        waiting = []
        for _ in range(16):
            reader, writer = await asyncio.open_connection("127.0.0.1", port(small))
            stack.callback(writer.close)
            writer.write(f"GET /v1/events?after={after}&wait=60 HTTP/1.1\r\n{HOST}{AUTH}\r\n".encode())
            waiting.append(reader)
        async with asyncio.timeout(5):
            while sum(one.in_use for one in small.connections._all) < 16:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port(small))
        head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in head
        assert json.loads(body)["code"] == "too-many-connections"
        small.transports("other")
        await small.core.bots.create("other")
        for reader in waiting:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")


GARBAGE = [
    f"GET /v1/bots HTTP/1.1\r\n{HOST}Authorization: Bearer {TOKEN}\x01\r\n\r\n",
    f"GET /{TOKEN} HTTP/9\r\n\r\n",
    f"{TOKEN}\r\n\r\n",
    f"GET /v1/bots HTTP/1.1\r\n{HOST}{AUTH} folded\r\n\tand more\r\n: \r\n\r\n",
    f"GET /v1/bots HTTP/1.1\r\n{HOST}X-{TOKEN}: {'a' * 9000}\r\n\r\n",
    f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n",
    f"POST /v1/bots HTTP/1.1\r\n{HOST}{AUTH}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{{}}",
    f"POST /v1/bots HTTP/1.1\r\n{HOST}{AUTH}Content-Length: {TOKEN}\r\n\r\n{{}}",
    f"POST /v1/bots HTTP/1.1\r\n{HOST}{AUTH}Transfer-Encoding: {TOKEN}\r\n\r\n{{}}",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 40,
]


@pytest.mark.parametrize("said", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_no_http_gets_a_problem_that_repeats_nothing(
    api: Api, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(api))
    writer.write(said.encode("latin-1"))
    head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nContent-Type: application/problem+json" in head
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    assert b"Server:" not in head
    assert json.loads(body)["code"] == "bad-request"
    assert TOKEN.encode() not in head + body
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []


def gzipped(method: str, path: str, more: str = "") -> str:
    return f"{method} {path} HTTP/1.1\r\n{HOST}{more}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"


REFUSED = [
    (gzipped("GET", "/livez"), 400, "bad-request"),
    (gzipped("GET", "/"), 400, "bad-request"),
    (gzipped("POST", "/v1/bots"), 401, "unauthorized"),
    (gzipped("POST", "/v1/bots/a/connect", AUTH), 400, "bad-request"),
    (gzipped("POST", "/v1/bots", AUTH + "Content-Type: application/json\r\n"), 400, "bad-request"),
    (gzipped("GET", "/nothing"), 404, "no-such-path"),
    (f"GET /livez HTTP/1.1\r\n{HOST}Expect: {TOKEN}\r\n\r\n", 417, "bad-request"),
    (f"GET /{TOKEN} HTTP/1.1\r\n{HOST}\r\n", 404, "no-such-path"),
    (f"GET /nothing HTTP/1.1\r\n{HOST}Expect: {TOKEN}\r\n\r\n", 417, "bad-request"),
    (f"{TOKEN[:8]} /livez HTTP/1.1\r\n{HOST}\r\n", 400, "bad-request"),
    (f"PURGE /livez HTTP/1.1\r\n{HOST}\r\n", 405, "method-not-allowed"),
    (f"GET /livez HTTP/1.1\r\nHost: {TOKEN}_\r\n\r\n", 421, "foreign-origin"),
    (f"{UPGRADE}Sec-WebSocket-Version: {TOKEN}\r\nSec-WebSocket-Key: x\r\n\r\n", 400, "bad-request"),
    (f"{UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {TOKEN}\r\n\r\n", 400, "bad-request"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "status", "code"), REFUSED, ids=range(len(REFUSED)))
async def test_every_refusal_is_a_problem_and_no_trace_in_the_log(
    api: Api, said: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(api))
    writer.write(said.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode("latin-1"))
    head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    assert b"Server:" not in head
    assert json.loads(body)["code"] == code
    assert TOKEN.encode() not in head + body
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "first", ["[" * 4000, '{"token":' * 400, '{"token": "\ud83d"}', "\x00", '{"token": 1e999}', "9" * 4000, ""]
)
async def test_no_first_message_of_a_websocket_is_a_fault(
    api: Api, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with api.http.ws_connect(api.url + "/v1/events") as follower:
        await follower.send_str(json.dumps(first)[1:-1].replace('\\"', '"') if "\ud83d" in first else first)
        async with asyncio.timeout(5):
            assert (await follower.receive()).type is aiohttp.WSMsgType.CLOSE
        assert follower.close_code == 4401
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []


HANDSHAKE = f"{UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
FRAMES = [
    *(b"\x81\x80abcd", b"\x81\xfe\x10\x01", b"\x81\xff" + b"\xff" * 8, b"\x89\x80abcd", b"\x8a\x80abcd"),
    *(b"\x88\x80abcd", b"\x01\x80abcd", b"\x80\x80abcd", b"\xc1\x80abcd", b"\x81\x00", b"\x83\x80abcd"),
    *(b"\x88\x81abcd\x00", b"\x81\x81\x00\x00\x00\x00\xff", b"\x89\xfe\x00\x80abcd", b"GET / HTTP/1.1\r\n\r\n"),
]
METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b"get", b""]
PLACES = [
    *(b"/", b"*", b"/v1/bots", b"/livez", b"http://[::1", b"//", b"/%", b"/%ff", b"/a:b@c", b"\xff", b"localhost:1"),
    b"/v1/events",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"ICY", b""]
FIELDS = [
    *(
        b"Host: localhost",
        b"Host: [::1",
        b"Host:",
        b"Content-Length: 3",
        b"Content-Length: -1",
        b"Expect: 100-continue",
    ),
    *(b"Transfer-Encoding: chunked", b"Content-Encoding: br", b"Content-Encoding: deflate", b"Upgrade: h2c", b": x"),
    *(
        b"Connection: upgrade",
        b"Cookie: a=\xff",
        b"Content-Type: \xff",
        b"Content-Type: a/b; charset=nope",
        b"Range: x",
    ),
    *(b"Accept: text/event-stream", b"Last-Event-ID: x", b"Upgrade: websocket", b"Authorization: Bearer \xff"),
    AUTH.strip().encode(),
]
REQUESTS = st.tuples(
    *(st.sampled_from(one) for one in (METHODS, PLACES, VERSIONS)),
    st.lists(st.sampled_from(FIELDS), max_size=6),
    st.binary(max_size=20),
).map(lambda one: b"%b %b %b\r\n%b\r\n\r\n%b" % (*one[:3], b"\r\n".join(one[3]), one[4]))


@pytest.fixture
def hasty(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not go on is closed at once."""
    for module, names in (
        (client_connections, ("HEAD_WAIT", "IDLE_WAIT", "LINGER")),
        (requests, ("BODY_WAIT",)),
        (websocket, ("AUTH_WAIT", "GOODBYE", "PING", "PONG")),
        (sse, ("PING",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, 0.02)
    monkeypatch.setattr(listener, "SWEEP_EVERY", 0.01)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.binary(max_size=200) | st.lists(st.sampled_from(FRAMES), max_size=6).map(b"".join), known=st.booleans())
async def test_no_bytes_on_a_websocket_are_a_fault(
    hasty: None, api: Api, caplog: pytest.LogCaptureFixture, said: bytes, known: bool
) -> None:
    """Neither before the token nor after it; what comes back are frames, up to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(api))
    writer.write(HANDSHAKE if known else HANDSHAKE.replace(AUTH.encode(), b""))
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(said)
    frames = await rest(reader)
    writer.close()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"HTTP/1.1" not in frames
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.binary(max_size=300) | REQUESTS)
async def test_no_bytes_on_a_connection_are_a_fault(
    hasty: None, api: Api, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(api))
    writer.write(said)
    answer = b""
    with contextlib.suppress(TimeoutError):  # an event stream goes on
        async with asyncio.timeout(1):
            while piece := await reader.read(1 << 16):
                answer += piece
    writer.close()
    assert not answer.startswith(b"HTTP/1.1 5"), answer
    assert b"\r\nServer:" not in answer
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


async def test_a_handler_that_fails_in_the_midst_of_a_stream_writes_nothing_into_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("in the midst")

    monkeypatch.setattr(websocket._Stream, "run", fail)
    reader, writer = await asyncio.open_connection("127.0.0.1", port(api))
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    writer.write(
        f"GET /v1/events HTTP/1.1\r\n{HOST}{AUTH}Upgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode()
    )
    head, _, frames = (await rest(reader)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames == b""
    assert "in the midst" in caplog.text


async def test_who_hangs_up_during_a_body_is_no_fault_and_forges_no_line(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", port(api))
        path = "/v1/bots/x%0a2026-11-25%20INFO%20zapwire.app:%20bot%20bank%1b[31m/export"
        head = f"POST {path} HTTP/1.1\r\n{HOST}{AUTH}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
        writer.write(head.encode())
        async with asyncio.timeout(5):
            while not any(one.in_use for one in api.connections._all):  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0)
        writer.transport.abort()
        async with asyncio.timeout(5):
            while len(api.connections):  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
    assert caplog.records == []


async def test_the_path_of_a_failed_request_is_logged_as_it_came(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(api.core.bots, "get", fail)
    for _ in range(3):
        assert (await api.raw("GET", "/v1/bots/a%0ab"))[0] == 500
    (line,) = caplog.records
    assert line.getMessage() == "the handler of GET /v1/bots/a%0Ab failed"


async def test_wrong_tokens_are_told_once_a_minute(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.headers = {"X-Api-Key": "wrong"}
    for _ in range(20):
        assert (await api.ask("GET", "/v1/bots"))[0] == 401
    assert [line.getMessage() for line in caplog.records] == ["refused a request with a wrong token"]


def test_what_was_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = LogLimit(logging.getLogger("test"), every=1000)
    for number in range(5):
        log.log(logging.ERROR, "a", "one %d", number)
    log.log(logging.ERROR, "b", "other")
    log._every = 0
    log.log(logging.ERROR, "a", "one %d", 5)
    assert [line.getMessage() for line in caplog.records] == [
        "one 0",
        "other",
        "one 5 (4 more like it since the line before)",
    ]
    log._every = 1000
    for number in range(1000):
        log.log(logging.ERROR, number, "varied")
    assert len(log._kinds) <= 101


def descriptors(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


async def many(url: str, count: int, stack: ExitStack) -> None:
    place = url.removeprefix("http://").split(":")
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.settimeout(0)
        client.connect_ex((place[0], int(place[1])))
        await asyncio.sleep(0)


async def test_a_flood_of_silent_sockets_harms_nobody(tmp_path: Path) -> None:
    """Over real sockets, with few descriptors: others are served, and the log stays short."""
    async with Daemon(tmp_path) as daemon:
        resource.prlimit(daemon.program.pid, resource.RLIMIT_NOFILE, (256, 256))
        with ExitStack() as stack:
            async with daemon.events("bot.state") as follower:
                await many(daemon.url, 400, stack)
                for number in range(20):
                    await many(daemon.url, 10, stack)
                    status = await fresh(daemon, "/livez")
                    assert status == 200, number
                await daemon.call("POST", "/v1/bots", {"id": "shop", "autostart": False})
                await daemon.call("POST", "/v1/bots/shop/connect")
                assert (await follower.next(10))["bot"] == "shop"
                used = descriptors(daemon.program.pid)
                assert used < 256 * 0.8
        assert (await daemon.call("GET", "/readyz"))["alerts"] == []
        assert len(daemon.log) < 10_000
        assert "Traceback" not in daemon.log


async def test_a_process_out_of_descriptors_says_so_and_goes_on(tmp_path: Path) -> None:
    async with Daemon(tmp_path) as daemon, daemon.events("daemon.alert") as follower:
        pid = daemon.program.pid
        most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = descriptors(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, most[1]))
        with ExitStack() as stack:
            await many(daemon.url, 50, stack)
            alert = await follower.until(about("descriptors", "raised"), 30)
            assert alert["data"]["kind"] == "descriptors"
            resource.prlimit(pid, resource.RLIMIT_NOFILE, most)
            await follower.until(about("descriptors", "cleared"), 30)
            assert await fresh(daemon, "/livez") == 200
        assert daemon.log.count("cannot accept connections") == 1
        assert "Traceback" not in daemon.log


def about(kind: str, state: str) -> Callable[[dict[str, dict[str, object]]], bool]:
    return lambda event: (event["data"]["kind"], event["data"]["state"]) == (kind, state)


async def fresh(daemon: Daemon, path: str) -> int:
    """The status of a call over a connection of its own."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http, http.get(daemon.url + path) as answer:
        return answer.status
