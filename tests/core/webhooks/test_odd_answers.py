"""Receivers that answer strangely: the status decides, and nothing in an answer harms any other delivery."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.raw_receiver import raw_receiver
from tests.core.scripted import QUICK, World, eventually, text, world
from tests.core.webhooks.test_deliveries import listed, until
from tests.core.webhooks.test_endpoints import connected, passed, person
from zapwire.core.webhooks import http_client
from zapwire.core.webhooks.status_line import StatusLine
from zapwire.store.sqlite.repositories.delivery_queue import SqliteDeliveryQueue

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAST = replace(QUICK, webhook_schedule=(0.02,) * 4, webhook_probe_first=0.01, webhook_probe_most=0.05)

ODD = {
    "a header of 9 kB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\nContent-Length: 0\r\n\r\n",
    "a header of 300 kB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
    "a reason of 9 kB": b"HTTP/1.1 200 " + b"a" * 9000 + b"\r\nContent-Length: 0\r\n\r\n",
    "a reason of 300 kB": b"HTTP/1.1 200 " + b"a" * 300_000 + b"\r\n\r\n",
    "200 headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n",
    "5000 headers": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
    "a zero byte in a header": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "a control character in a header": b"HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n",
    "a header that is not latin-1": b"HTTP/1.1 200 OK\r\nX: \xf0\x9f\x8e\xff\r\n\r\n",
    "a space in a header's name": b"HTTP/1.1 200 OK\r\nX Y : a\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
    "a line that is no header": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "a reason that is no text": b"HTTP/1.1 200 \xff\x80\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown transfer encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\nx",
    "a chunk that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk that breaks off": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx",
    "a body that breaks off": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nx",
    "more than the length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more\r\n",
    "gzip that is none": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    "an encoding nobody knows": b"HTTP/1.1 200 OK\r\nContent-Encoding: a, b\xff\r\nContent-Length: 1\r\n\r\nx",
    "a strange cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: \xc3(=;;;=\r\nContent-Length: 0\r\n\r\n",
    "a status and no more": b"HTTP/1.1 200 OK\r\n",
    "103 before a bad header": b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    # right before, to be kept
    "100 and 103": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\n" + OK,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: a\r\n\r\n",
}


@pytest.mark.parametrize("status", [200, 204, 410])
@pytest.mark.parametrize("name", ODD)
async def test_the_status_decides_whatever_else_is_odd(tmp_path: Path, name: str, status: int):
    answer = ODD[name].replace(b" 200", b" %d" % status)
    async with world(tmp_path / "db") as at, raw_receiver(answer, OK) as hook:
        endpoint, _ = await at.core.endpoints.create(hook.url)
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert (outcome.status, outcome.error) == (status, None if status < 300 else f"it answered {status}")
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert (outcome.status, outcome.error, outcome.answer) == (200, None, b"ok")
        assert len(hook.got) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"200 OK\r\n\r\n",
        b"\0" * 100,
        b"",
    ],
)
async def test_without_a_status_nothing_is_taken(tmp_path: Path, answer: bytes):
    async with world(tmp_path / "db") as at, raw_receiver(answer) as hook:
        endpoint, _ = await at.core.endpoints.create(hook.url)
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert outcome.status is None
        assert outcome.error in {"its answer is not HTTP", "it closed the connection without an answer"}


@given(st.lists(st.sampled_from([100, 102, 103]), max_size=3), st.integers(200, 599), st.integers(1, 40), st.binary())
def test_the_status_is_found_however_the_bytes_are_cut(interim: list[int], status: int, size: int, rest: bytes):
    answer = b"".join(b"HTTP/1.1 %d Wait\r\nX: y\r\n\r\n" % one for one in interim)
    answer += b"HTTP/1.1 %d Done\r\n" % status + rest
    line = StatusLine()
    for start in range(0, len(answer), size):
        line.feed(answer[start : start + size])
    assert line.status == status


@given(st.binary().filter(lambda data: re.search(rb"HTTP/\d\.\d +[1-9]\d\d", data) is None))
@example(b"HTTP/0.0 000")
def test_bytes_without_a_status_have_none(data: bytes):
    line = StatusLine()
    line.feed(data)
    line.feed(b"\r\nHTTP/1.1")
    assert line.status is None


async def test_a_slow_answer_is_read_for_as_long_as_the_time_lasts_and_then_hung_up(tmp_path: Path):
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\nx"
    async with world(tmp_path / "db") as at, raw_receiver(answer, close=False) as hook:
        endpoint, _ = await at.core.endpoints.create(hook.url, timeout=1)
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert (outcome.status, outcome.error, outcome.cut) == (201, None, True)
        await hook.until_closed()


async def test_a_head_that_never_ends_counts_by_its_status(tmp_path: Path):
    async with world(tmp_path / "db") as at, raw_receiver(b"HTTP/1.1 200 OK\r\nX: ", close=False) as hook:
        endpoint, _ = await at.core.endpoints.create(hook.url, timeout=1)
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert (outcome.status, outcome.error, outcome.answer) == (200, None, b"")
        await hook.until_closed()


async def test_a_connection_is_kept_and_used_again(tmp_path: Path):
    async with world(tmp_path / "db") as at, raw_receiver(OK, close=False) as hook:
        endpoint, _ = await at.core.endpoints.create(hook.url)
        for _ in range(3):
            assert (await at.core.delivery_log.test(endpoint.id))[1].error is None
        assert hook.connections == 1


# -- replies ------------------------------------------------------------------------------------------------------


def answered(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body)


async def replied(at: World, endpoint: str) -> dict[str, str] | None:
    await until(at, endpoint, "delivered", "delivered")
    return (await listed(at, endpoint))[1].reply


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            answered(b'{"reply":{"text":"see you \\ud83d"}}'),
            "reply.text: holds half of a character (a surrogate without its other half)",
        ),
        (answered(b'{"reply":{"text":"a","to":"\\udc00"}}'), "reply.to: holds half of a character"),
        (answered(b'{"reply":{"te\\ud83dxt":"a"}}'), "reply.te\ufffdxt: is not a field of a message"),
        (answered(b'{"reply":{"' + b"x" * 3000 + b'":"a"}}'), "reply." + "x" * 40 + ": is not a field of a message"),
        (answered(b'{"reply":{"text":"\xff\xfe"}}'), "the answer is not UTF-8"),
        (answered('{"reply":{"text":"a"}}'.encode("utf-16")), "the answer is not UTF-8"),
        (answered(b'{"reply":' + b"[" * 3000), "the answer is not JSON"),
        (answered(b'{"reply":' + b"[" * 1500 + b"]" * 1500 + b"}"), "the "),
        (answered(b'{"reply":{"text":' + b"9" * 4000 + b"}}"), "reply.text: must be text"),
        (answered(b'{"reply":{"text":1e999}}'), "reply.text: must be text"),
        (answered(b'{"reply":{"text":NaN}}'), "reply.text: must be text"),
        (answered(b'{"reply":[1]}'), "the reply is not an object"),
        (answered(b'{"reply":{"to":["a"]}}'), "reply.to: has to be a text"),
        (answered(b"\x1f\x8b{", b"Content-Encoding: gzip\r\n"), "the answer is compressed"),
        (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", "the answer is longer than 4096 bytes, or not complete"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"reply"', "the answer is longer than 4096 bytes, or not"),
    ],
)
async def test_a_reply_that_cannot_be_used_says_why_and_the_event_counts_as_delivered(
    tmp_path: Path, answer: bytes, error: str
):
    async with world(tmp_path / "db", linked=True, limits=FAST) as at, raw_receiver(answer, OK) as hook:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"], reply=True)
        await at.tell("bot", text("A", chat=person(1)))
        await at.tell("bot", text("B", chat=person(1)))
        reply = await replied(at, endpoint.id)
        assert reply is not None
        assert reply["error"].startswith(error)
        assert len(hook.got) == 2, "posted once each"


async def test_a_byte_order_mark_before_a_reply_is_skipped(tmp_path: Path):
    answer = answered(b'\xef\xbb\xbf {"reply":{"text":"hello"}}')
    async with world(tmp_path / "db", linked=True, limits=FAST) as at, raw_receiver(answer, OK) as hook:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"], reply=True)
        await at.tell("bot", text("A", chat=person(1)))
        await at.tell("bot", text("B", chat=person(1)))
        reply = await replied(at, endpoint.id)
        assert reply is not None
        assert (await at.core.outbox.get("bot", reply["message"])).content.as_json() == {"text": "hello"}


async def test_a_mistake_of_ours_with_an_answer_concerns_that_delivery_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    answer = answered(b'{"reply":{"text":"hello"}}')
    async with world(tmp_path / "db", linked=True, limits=FAST) as at, raw_receiver(answer, OK) as hook:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"], reply=True)

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("an internal error")

        monkeypatch.setattr(at.core.delivery_log._dispatch._replies, "_send", broken)
        await at.tell("bot", text("A", chat=person(1)))
        await at.tell("bot", text("B", chat=person(1)))
        assert await replied(at, endpoint.id) == {"error": "internal error, see the log of zapwire"}
        assert len(hook.got) == 2


async def test_a_record_that_cannot_be_stored_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = SqliteDeliveryQueue.store

    def store(queue: SqliteDeliveryQueue, endpoint: str, records: list[Any]) -> None:
        if any(one.seq == poison for one in records):
            raise ValueError("an internal error")
        plain(queue, endpoint, records)

    async with world(tmp_path / "db", linked=True, limits=FAST) as at, raw_receiver(OK) as hook:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        poison = await at.core.subscriptions.last_seq() + 2
        monkeypatch.setattr(SqliteDeliveryQueue, "store", store)
        for number in range(4):
            await at.tell("bot", text(f"A{number}", chat=person(number)))
        await until(at, endpoint.id, *["delivered"] * 3)
        assert poison not in {one.seq for one in await listed(at, endpoint.id)}
        last = (await at.events())[-1].seq
        await eventually(lambda: passed(at, endpoint.id, last))
        assert len(hook.got) == 4, "posted once each"


async def test_a_mistake_of_ours_with_a_request_is_a_failure_of_that_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    failures = 1

    async def make(self: http_client._Exchange, *arguments: object) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("an internal error")
        await made(self, *arguments)  # type: ignore[arg-type]

    made = http_client._Exchange.make
    monkeypatch.setattr(http_client._Exchange, "make", make)
    async with world(tmp_path / "db", linked=True, limits=FAST) as at, raw_receiver(OK) as hook:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.tell("bot", text("A", chat=person(1)))
        await until(at, endpoint.id, "delivered")
        assert len(hook.got) == 1
