"""A proxy's URL: what is taken, what is shown."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.model.errors import InvalidInput
from zapwire.model.proxy import Proxy

WORD = st.text(st.sampled_from([chr(code) for code in range(32, 127)]), min_size=1, max_size=40)
NAME = st.text(st.sampled_from(string.ascii_lowercase + string.digits), min_size=1, max_size=30)


@given(st.sampled_from(["http", "socks5"]), NAME, st.integers(1, 65535), WORD, WORD)
def test_whatever_is_in_it_comes_back_and_the_password_is_not_shown(
    scheme: str, host: str, port: int, user: str, password: str
) -> None:
    password += "\u0040secret"
    url = f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}"
    proxy = Proxy.parse(url)
    assert proxy == Proxy(scheme, host, port, user, password) == Proxy.parse(proxy.url)
    assert quote(password, safe="") not in proxy.shown
    assert proxy.shown in repr(proxy)
    with pytest.raises(InvalidInput, match=r"\*\*\*"):
        Proxy.parse(proxy.shown)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must begin with"),
        ("proxy.example:1080", "must begin with"),
        ("ftp://proxy.example:21", "must begin with"),
        ("https://proxy.example:443", "must begin with"),
        ("socks5://proxy.example", "a host and a port"),
        ("socks5://:1080", "a host and a port"),
        ("socks5://proxy.example:0", "a host and a port"),
        ("socks5://proxy.example:99999", "must be a URL"),
        ("socks5://[::1:1080", "must be a URL"),
        ("http://proxy.example:3128/path", "end after the port"),
        ("http://proxy.example:3128?x=1", "end after the port"),
        ("http://user@proxy.example:3128", "both a user name and a password"),
        ("http://:secret@proxy.example:3128", "both a user name and a password"),
        ("http://us%0aer:secret@proxy.example:3128", "printable ASCII"),
        ("http://us%C3%A4r:secret@proxy.example:3128", "printable ASCII"),
        ("http://us%FFer:secret@proxy.example:3128", "UTF-8"),
        ("http://" + "u" * 300 + ":secret@proxy.example:3128", "255"),
        ("http://" + "u" * 600 + ":secret@proxy.example:3128", "512"),
    ],
)
def test_what_cannot_work_is_refused_without_repeating_it(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as raised:
        Proxy.parse(text)
    assert raised.value.field == "proxy"
    assert "secret" not in raised.value.detail


def test_an_ipv6_host_keeps_its_brackets_and_socks5h_is_socks5() -> None:
    assert Proxy.parse("socks5h://[2001:db8::1]:1080").url == "socks5://[2001:db8::1]:1080"
