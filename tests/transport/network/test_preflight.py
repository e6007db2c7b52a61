from __future__ import annotations

import asyncio

import pytest

from zapwire.model.errors import TransportError
from zapwire.transport.whatsapp_web.network import preflight


def test_the_way_leads_over_the_proxy_of_the_override_or_the_environment(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert preflight.way(None) == (preflight.HOST, 443)
    assert preflight.way("http://127.0.0.1:99") == ("127.0.0.1", 99)
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.test:8080")
    assert preflight.way(None) == ("proxy.test", 8080)
    monkeypatch.setenv("no_proxy", preflight.HOST)
    assert preflight.way(None) == (preflight.HOST, 443)


async def test_a_way_that_is_open_and_one_that_is_closed():
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1") as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await preflight.check(proxy)
    with pytest.raises(TransportError) as error:
        await preflight.check(proxy)
    assert error.value.detail == "WhatsApp cannot be reached: connection refused"


async def test_a_name_without_an_address_is_told_as_such():
    with pytest.raises(TransportError, match="cannot be resolved"):
        await preflight.check("http://proxy.invalid:1")


def test_several_failed_addresses_are_told_by_the_first():
    error = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 101] Connect call failed")
    assert preflight._words(error) == "Connection refused"


def test_a_proxy_address_without_sense_is_told_without_its_password():
    with pytest.raises(TransportError, match="address of the proxy") as error:
        preflight.way("http://user:secret@proxy.test:port")
    assert "secret" not in error.value.detail


async def test_bots_that_ask_together_are_answered_by_one_look(monkeypatch):
    looks = 0
    answer = asyncio.Event()

    async def look(_proxy, _what):
        nonlocal looks
        looks += 1
        await answer.wait()
        raise TransportError("no way")

    monkeypatch.setattr(preflight, "check", look)
    way = preflight.NetworkPath(None)
    asking = [asyncio.create_task(way.check()) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # a stopped bot does not take the look away from the others
    answer.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert looks == 1
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert [str(outcome) for outcome in outcomes[1:]] == ["no way"] * 49
    with pytest.raises(TransportError):
        await way.check()
    assert looks == 2


async def test_a_look_that_follows_at_once_does_not_touch_those_who_asked_before(monkeypatch):
    answer = asyncio.Event()
    monkeypatch.setattr(preflight, "check", lambda _proxy, _what: answer.wait())
    way = preflight.NetworkPath(None)
    first = asyncio.create_task(way.check())
    await asyncio.sleep(0)
    answer.set()
    assert way._look is not None
    while not way._look.done():  # noqa: ASYNC110 - before the asker, not after it
        await asyncio.sleep(0)
    answer.clear()
    second = way.check()
    second.send(None)  # begins a look of its own before the first one's asker has gone on
    await first
    second.close()
    await way.close()


async def test_a_failed_dial_speaks_for_all_bots_for_a_while(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(preflight.time, "monotonic", lambda: now)

    async def look(_proxy, _what):
        pass

    monkeypatch.setattr(preflight, "check", look)
    way = preflight.NetworkPath(None)
    await way.check()
    way.dial_failed(TransportError("its certificate is not trusted"))
    with pytest.raises(TransportError, match="not trusted"):
        await way.check()
    now += preflight.CLOSED_FIRST
    await way.check()  # one may try
    with pytest.raises(TransportError, match="not trusted"):
        await way.check()  # while the others still hear the old failure
    way.dial_worked()
    await way.check()
    for _ in range(20):
        way.dial_failed(TransportError("again"))
    now += preflight.CLOSED_MOST
    await way.check()
