"""QR codes as images, and which content type a caller wants."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache

import qrcode
from qrcode.image.pure import PyPNGImage
from qrcode.image.svg import SvgPathImage


@lru_cache(maxsize=64)
def png(text: str) -> bytes:
    """A PNG; takes some 30 ms of computing, so run it in a thread."""
    return _draw(text, PyPNGImage)


@lru_cache(maxsize=64)
def svg(text: str) -> bytes:
    """An SVG document; takes some 30 ms of computing, so run it in a thread."""
    return _draw(text, SvgPathImage)


def data_url(image: bytes) -> str:
    """A PNG as an address that a page can show."""
    return "data:image/png;base64," + base64.b64encode(image).decode()


def choose(accept: str, offers: Sequence[str]) -> str | None:
    """The offer that an Accept header likes best (RFC 9110, 12.5.1); the first one when it likes several as much."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    best, best_quality = None, 0.0
    for offer in offers:
        matching = [(_precision(pattern), quality) for pattern, quality in ranges if _matches(pattern, offer)]
        quality = max(matching)[1] if matching else 0.0
        if quality > best_quality:
            best, best_quality = offer, quality
    return best


def _draw(text: str, factory: object) -> bytes:
    # WhatsApp's own codes use the lowest correction: fewer modules are easier to scan from a screen
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, box_size=8, border=4)
    code.add_data(text)
    code.make(fit=True)
    out = io.BytesIO()
    code.make_image(image_factory=factory).save(out)
    return out.getvalue()


def _range(part: str) -> tuple[str, float]:
    pattern, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return pattern, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return pattern, 0.0
    return pattern, 1.0


def _precision(pattern: str) -> int:
    return 0 if pattern == "*/*" else 1 if pattern.endswith("/*") else 2


def _matches(pattern: str, offer: str) -> bool:
    return pattern in ("*/*", offer) or (pattern.endswith("/*") and offer.startswith(pattern[:-1]))
