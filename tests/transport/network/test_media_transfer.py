"""Which host is asked, and what its answers mean; the requests themselves are scripted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from zapwire.model.errors import MediaDamaged, MediaExpired, TransportError
from zapwire.model.media import RemoteFile
from zapwire.transport.whatsapp_web import media_transfer
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable
from zapwire.transport.whatsapp_web.engine.private.media_hosts import MediaHosts
from zapwire.transport.whatsapp_web.media_transfer import DOWNLOAD_HOST, TRIES, MediaTransfer
from zapwire.transport.whatsapp_web.network.media_http import BrokenTransfer
from zapwire.wire.media import Domain, Encryptor


class Script:
    """Answers to requests, one after the other: an error, or status and body."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []
        """Host and range."""

    @asynccontextmanager
    async def request(
        self, _lines: Any, _proxy: Any, _method: str, host: str, _target: str, *, fields: Any = None, body: Any = None
    ) -> AsyncIterator[Any]:
        self.asked.append((host, (fields or {}).get("Range")))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield Scripted(*answer)


class Scripted:
    def __init__(self, status: int, body: bytes = b"", breaks: bool = False) -> None:
        self.status, self._body, self._breaks = status, body, breaks
        self.fields = {} if breaks else {"content-length": str(len(body))}

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._body
        if self._breaks:
            raise BrokenTransfer("broken off")


@pytest.fixture
def encrypted() -> tuple[RemoteFile, bytes]:
    encrypting = Encryptor(bytes(32), Domain.DOCUMENT)
    data = encrypting.feed(b"hello" * 100) + encrypting.finish()
    return RemoteFile(Domain.DOCUMENT, "/v/x?a=1", bytes(32), encrypting.enc_sha256, encrypting.sha256, 500), data


async def run(script: Script, monkeypatch: pytest.MonkeyPatch, file: RemoteFile, path: Path, *hosts: str) -> None:
    monkeypatch.setattr(media_transfer, "request", script.request)
    monkeypatch.setattr(media_transfer, "FIRST_RETRY", 0.0)
    transfer = MediaTransfer(None, object())  # type: ignore[arg-type]  # no engine, and lines that nobody dials
    if hosts:
        transfer._hosts = time.monotonic(), MediaHosts(hosts, "auth")
    await transfer.download(file, path, None, AsyncMock())


async def test_it_goes_on_where_it_broke_off_at_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: tuple[RemoteFile, bytes]
) -> None:
    file, data = encrypted
    script = Script(Unreachable("no way"), (403,), (206, data[:100], True), (206, data[100:]))
    await run(script, monkeypatch, file, tmp_path / "f", "b.whatsapp.net", DOWNLOAD_HOST)
    assert (tmp_path / "f").read_bytes() == data
    assert [host for host, _ in script.asked] == [DOWNLOAD_HOST, "b.whatsapp.net", DOWNLOAD_HOST, "b.whatsapp.net"]
    assert [part for _, part in script.asked] == [None, None, None, "bytes=100-"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([(404,)], MediaExpired),
        ([(410,)], MediaExpired),
        ([(403,)] * TRIES, MediaExpired),
        ([(416,)], MediaDamaged),
        ([(200, b"short")], MediaDamaged),
        ([(200, b"x" * 1000)], MediaDamaged),
        ([(500,)] * TRIES, TransportError),
        ([Unreachable("no way")] * TRIES, TransportError),
    ],
)
async def test_what_an_answer_means(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encrypted: tuple[RemoteFile, bytes],
    answers: list[Any],
    error: type[Exception],
) -> None:
    script = Script(*answers)
    with pytest.raises(error):
        await run(script, monkeypatch, encrypted[0], tmp_path / "f")
    assert not script.answers, "asked as often as it makes sense"
    assert not [*tmp_path.iterdir()] or error is TransportError
