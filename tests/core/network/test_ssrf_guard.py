"""Where webhooks may go."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.core.receiver import receiver
from tests.core.scripted import LOOPBACK, registered, world
from zapwire.core.bots.proxies import Proxies
from zapwire.core.network import dns
from zapwire.core.network.ssrf_guard import PROXIES, Forbidden, SsrfGuard
from zapwire.model.bots import TransportKind
from zapwire.model.errors import InvalidInput

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "",
    "localhost",
    "127.1",
]
OUTSIDE = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_refused(address: str):
    assert not SsrfGuard().permits(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_everybody_reaches_is_let_through(address: str):
    assert SsrfGuard().permits(address)


@given(st.ip_addresses(v=4))
def test_no_spelling_of_an_ipv4_address_gets_past(address: ipaddress.IPv4Address):
    guard, number = SsrfGuard(), int(address)
    plain = guard.permits(str(address))
    for spelling in ((0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80)):
        assert guard.permits(str(ipaddress.IPv6Address(spelling))) == plain
    if plain:
        assert address.is_global


def test_networks_are_allowed_by_name():
    guard = SsrfGuard([ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8")])
    assert all(guard.permits(one) for one in ("127.0.0.1", "::ffff:127.0.0.1", "fd12::1", "8.8.8.8"))
    assert not any(guard.permits(one) for one in ("10.0.0.1", "::1", "169.254.169.254"))


def test_the_socket_is_refused_before_it_exists():
    place = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80))
    with pytest.raises(Forbidden, match="ZAPWIRE_WEBHOOK_ALLOW_NETWORKS"):
        SsrfGuard().open_socket(place)
    with SsrfGuard(LOOPBACK).open_socket(place) as made:
        assert made.family == socket.AF_INET


async def test_a_new_endpoint_is_checked_and_so_is_a_changed_one(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        endpoint, _ = await at.core.endpoints.create("http://127.0.0.1:9/hook")
        for url in (
            "http://10.0.0.1/hook",
            "http://[::1]/hook",
            "https://169.254.169.254/latest",
            "http://0x7f.1.1.1.1/",  # no address and no name: later is soon enough, but never a connection
            "http://2852039166/",  # 169.254.169.254 as getaddrinfo reads it
        ):
            for attempt in (at.core.endpoints.create(url), at.core.endpoints.update(endpoint.id, url=url)):
                if "0x7f" in url:
                    await attempt
                    continue
                with pytest.raises(InvalidInput) as caught:
                    await attempt
                assert caught.value.field == "url"
                assert "ZAPWIRE_WEBHOOK_ALLOW_NETWORKS" in caught.value.detail
        endpoint, _ = await at.core.endpoints.create("https://this-name-does-not-exist.invalid/hook")
        assert (await at.core.delivery_log.test(endpoint.id))[1].error == "its name cannot be resolved"


async def test_a_name_that_resolves_to_something_else_the_next_time_gains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dns, "FRESH", 0.0)
    answers = ["127.0.0.2", "127.0.0.2", "127.0.0.1"]

    def rebinding(*_: Any, **__: Any) -> list[Any]:
        """A name server that answers something else after a while."""
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (answers.pop(0), 0))]

    networks = [ipaddress.ip_network("127.0.0.2/32")]
    async with (
        receiver() as hook,
        world(tmp_path / "db", names=dns.Resolver(rebinding), webhook_networks=networks) as at,
    ):
        endpoint, _ = await at.core.endpoints.create(f"http://rebinding.invalid:{hook.port}/hook")
        _, first = await at.core.delivery_log.test(endpoint.id)
        assert first.error == "cannot be reached: Connection refused"  # allowed, but nobody is there
        _, second = await at.core.delivery_log.test(endpoint.id)
        assert second.error is not None
        assert "not allowed" in second.error
        assert answers == []
        assert hook.got == []


async def test_a_redirect_to_the_inside_is_not_followed(tmp_path: Path):
    async with receiver() as hook, receiver() as inside, world(tmp_path / "db") as at:
        hook.answer = lambda body: web.Response(status=302, headers={"Location": inside.url})
        endpoint, _ = await at.core.endpoints.create(hook.url)
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert outcome.error == "it answered 302: redirects are not followed, give the final address"
        assert inside.got == []


# -- proxies ------------------------------------------------------------------------------------------------------


class Tries:
    """Transports that note which proxies they were to try."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    async def try_proxy(self, proxy: Any) -> None:
        self.tried.append(proxy.host)


def looked_up(host: str, *_: Any, **__: Any) -> list[Any]:
    found = {"outside.example": ["8.8.8.8"], "both.example": ["8.8.8.8", "10.0.0.1"], "inside.example": ["10.0.0.1"]}
    if host not in found:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (one, 0)) for one in found[host]]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "inside.example", "both.example"]
)
async def test_a_proxy_inside_is_refused_without_a_try(host: str, check: bool):
    transports = Tries()
    proxies = Proxies(registered(transports), SsrfGuard(setting=PROXIES, names=dns.Resolver(looked_up)))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as caught:
        await proxies.accept(f"socks5://{host}:1080", TransportKind.WHATSAPP_WEB, check=check)
    assert caught.value.field == "proxy"
    assert "ZAPWIRE_PROXY_ALLOW_NETWORKS" in caught.value.detail
    assert transports.tried == [], "nothing may be learned of who listens there"


async def test_a_proxy_outside_or_in_an_allowed_network_is_tried():
    transports = Tries()
    guard = SsrfGuard([ipaddress.ip_network("10.0.0.0/8")], setting=PROXIES, names=dns.Resolver(looked_up))
    proxies = Proxies(registered(transports), guard)  # type: ignore[arg-type]
    hosts = ["8.8.8.8", "outside.example", "10.0.0.1", "both.example"]
    for host in hosts:
        accepted = await proxies.accept(f"http://{host}:8080", TransportKind.WHATSAPP_WEB, check=True)
        assert accepted is not None
        await proxies.accept(f"http://{host}:8080", TransportKind.WHATSAPP_WEB, check=False)
    assert transports.tried == hosts
    assert await proxies.accept("http://unknown.example:8080", TransportKind.WHATSAPP_WEB, check=False) is not None
    with pytest.raises(InvalidInput, match="cannot be resolved"):
        await proxies.accept("http://unknown.example:8080", TransportKind.WHATSAPP_WEB, check=True)
    assert transports.tried == hosts
