"""Images: Pillow's formats, of which only those are tried that people send."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pi_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.faults import MediaFault

_PLUGINS: Final = (
    AvifImagePlugin, BmpImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin,
    WebPImagePlugin,
)  # fmt: skip
"""Imported for what they register."""
_MIME_TYPES: Final = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # what cameras write; its first picture is a JPEG like any other
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
_OPENED: Final = tuple(name for name in _MIME_TYPES if name != "MPO")
"""Those that are tried; an MPO is opened as the JPEG that it begins with."""
_SHOWN: Final = {"JPEG": ("RGB", "L"), "MPO": ("RGB",), "PNG": ("RGB", "RGBA", "L", "LA", "P", "1")}
"""What WhatsApp's clients show as it is, by mode: eight bits, no CMYK."""
_CAN_BE_ANIMATED: Final = ("GIF", "WEBP", "PNG", "AVIF")
_ORIENTATION: Final = 0x0112
_ON_ITS_SIDE: Final = (5, 6, 7, 8)
_THUMBNAIL: Final = 100
_LONGEST: Final = 4096
"""Pixels of the longer side of what is converted."""
_SOME_OF_MANY: Final = 32


@contextmanager
def opened(request: Request) -> Iterator[Image.Image]:
    """The image, of which nothing but its head is decoded yet. Raises `Fault`, also for what is done with it inside."""
    Image.MAX_IMAGE_PIXELS = request.limits.pixels  # for what says its size only later
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    pi_heif.register_heif_opener(thumbnails=False)
    source = request.source()
    start = source.at(0, _SOME_OF_MANY)
    try:
        with Image.open(io.BufferedReader(source), formats=_OPENED) as image:
            request.check_pixels(*image.size)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Fault(MediaFault.TOO_MANY_PIXELS, f"{request.limits.pixels / 1e6:g} megapixels") from None
    except UnidentifiedImageError:
        raise Fault(MediaFault.DAMAGED if _is_image(start) else MediaFault.UNKNOWN_FORMAT) from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        struct.error,
        zlib.error,
    ) as error:
        raise Fault(MediaFault.DAMAGED) from error  # whatever Pillow's readers stumble over


def _is_image(start: bytes) -> bool:
    """It begins like an image, and then ends too early, or says nonsense."""
    return start.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")) or (
        start[8:12] == b"WEBP" or start[4:12] in {b"ftypheic", b"ftypmif1", b"ftypavif"}
    )


def inspect(request: Request) -> dict[str, Any]:
    """What is in the image."""
    with opened(request) as image:
        return {"facts": facts(image)}


def facts(image: Image.Image) -> dict[str, Any]:
    """What is in an image that is open; decodes it."""
    width, height = image.size
    if _orientation(image) in _ON_ITS_SIDE:
        width, height = height, width
    return {
        "mime_type": _MIME_TYPES[image.format or ""],
        "width": width,
        "height": height,
        "animated": is_animated(image),
        "thumbnail": thumbnail(image),
    }


def turned(image: Image.Image) -> Image.Image:
    """As it is shown: cameras tell how they were held."""
    return image if _orientation(image) is None else ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> int | None:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error):
        return None  # the picture is there all the same
    return orientation if isinstance(orientation, int) else None


def is_animated(image: Image.Image) -> bool:
    """More than one picture after the other; pages, and the second picture of a camera, are none."""
    return image.format in _CAN_BE_ANIMATED and bool(getattr(image, "is_animated", False))


def thumbnail(image: Image.Image) -> bytes:
    """A small JPEG of it, on white."""
    image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))  # a JPEG is decoded at an eighth of its size
    small = turned(image)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    written = io.BytesIO()
    on_white(small).save(written, "JPEG", quality=70)
    return written.getvalue()


def on_white(image: Image.Image) -> Image.Image:
    """As RGB, with white where it is transparent."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    below = Image.new("RGB", image.size, "white")
    below.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return below


def convert(request: Request) -> dict[str, Any]:
    """To a JPEG, unless it is one, or a PNG."""
    with opened(request) as image:
        if image.mode in _SHOWN.get(image.format or "", ()):
            return {"facts": facts(image), "unchanged": True}
        profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA"} else None
        shown = on_white(turned(image))
    shown.thumbnail((_LONGEST, _LONGEST))
    with os.fdopen(os.dup(request.target()), "wb") as target:
        shown.save(target, "JPEG", quality=90, icc_profile=profile)
        size = target.tell()
    request.check_size(size)
    told = {"mime_type": "image/jpeg", "width": shown.width, "height": shown.height}
    return {"facts": {**told, "thumbnail": thumbnail(shown)}}
