from __future__ import annotations

import asyncio

import pytest

from zapwire.errors import TransportError
from zapwire.transport.whatsapp_web import reach


def test_the_way_leads_over_the_proxy_of_the_override_or_the_environment(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert reach.way(None) == (reach.HOST, 443)
    assert reach.way("http://127.0.0.1:99") == ("127.0.0.1", 99)
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.test:8080")
    assert reach.way(None) == ("proxy.test", 8080)
    monkeypatch.setenv("no_proxy", reach.HOST)
    assert reach.way(None) == (reach.HOST, 443)


async def test_a_way_that_is_open_and_one_that_is_closed():
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1") as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await reach.check(proxy)
    with pytest.raises(TransportError) as error:
        await reach.check(proxy)
    assert error.value.detail == "WhatsApp cannot be reached: connection refused"


async def test_a_name_without_an_address_is_told_as_such():
    with pytest.raises(TransportError, match="cannot be resolved"):
        await reach.check("http://proxy.invalid:1")


def test_several_failed_addresses_are_told_by_the_first():
    error = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 101] Connect call failed")
    assert reach._words(error) == "Connection refused"
