"""What a page says of itself, whatever it is."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from zapwire.core.media.link_previews import _DESCRIPTION, _TITLE, _read, first_link

PAGES = [
    (b"<title>A &amp; B</title>", ("A & B", None, None)),
    (b"<head><meta property=og:title content=' One\n  two '><title>No</title>", ("One two", None, None)),
    (
        b"<meta name='description' content='d'><meta property='og:image' content='/x.png'><title>t</title>",
        ("t", "d", "/x.png"),
    ),
    (b"<body><meta property=og:title content=late><title>late</title>", (None, None, None)),
    (b"<title>open without an end", (None, None, None)),
    (b"<title></title><meta property=og:title content=''>", (None, None, None)),
    (b"\xff\xfe\x00<![CDATA[]]><title>t</title>", ("t", None, None)),
]


@pytest.mark.parametrize(("data", "found"), PAGES)
def test_what_a_page_says(data: bytes, found: tuple[str | None, ...]) -> None:
    page = _read(data, None)
    assert (page.title, page.description, page.image) == found


@given(st.binary() | st.text(alphabet="<>!-[]/='\" \nabctitle&#;").map(str.encode), st.text() | st.none())
def test_no_page_breaks_it(data: bytes, charset: str | None) -> None:
    page = _read(data, charset)
    assert len(page.title or "") <= _TITLE
    assert len(page.description or "") <= _DESCRIPTION


def test_a_page_may_name_its_charset_and_no_other_codec() -> None:
    title = "Gr\u00fc\u00dfe"
    assert _read(f"<title>{title}</title>".encode("latin-1"), "ISO-8859-1").title == title
    assert _read(f"<title>{title}</title>".encode(), "zlib").title == title
    assert _read(f"<title>{title}</title>".encode(), "rot13").title == title


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see (https://example.com/a?b=c), please", "https://example.com/a?b=c"),
        ("HTTP://EXAMPLE.COM.", "HTTP://EXAMPLE.COM"),
        ("no link: ftp://example.com, www.example.com", None),
    ],
)
def test_the_first_link_of_a_text(text: str, link: str | None) -> None:
    assert first_link(text) == link
