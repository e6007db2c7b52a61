"""What converting costs, from the call to the result, the start of the child with it."""

from __future__ import annotations

import io
import math
import os
import time
import wave
from array import array
from collections.abc import Awaitable, Callable
from typing import Any, Final

from PIL import Image

from bench.table import Figures, percentile
from zapwire.media_tools.tools import MediaTools

_TIMES: Final = 9
_SECONDS: Final = 60
_RATE: Final = 44_100


async def measure(figures: Figures) -> None:
    """Voice note, thumbnail, sticker; and the smallest file there is, which is the start of the child alone."""
    tools = MediaTools()
    figures.add(
        "a child starts, tells of a small PNG, ends", await _timed(tools.inspect, _image("PNG", 16), "image"), "ms"
    )
    figures.add(
        "thumbnail of a JPEG of 12 megapixels", await _timed(tools.inspect, _image("JPEG", 3464), "image"), "ms"
    )
    figures.add("60 s of stereo WAV become a voice note", await _timed(tools.to_voice, _speech()), "ms", "below 1,000")
    figures.add("a JPEG of 12 megapixels becomes a sticker", await _timed(tools.to_sticker, _image("JPEG", 3464)), "ms")


async def _timed(work: Callable[..., Awaitable[Any]], content: bytes, *arguments: str) -> float:
    """Milliseconds, the median of several."""
    descriptor = os.memfd_create("bench")
    try:
        os.write(descriptor, content)
        took = []
        for _ in range(_TIMES):
            began = time.perf_counter()
            result = await work(descriptor, *arguments)
            took.append(1000 * (time.perf_counter() - began))
            if (file := getattr(result, "file", None)) is not None:
                file.close()
    finally:
        os.close(descriptor)
    return percentile(took, 0.5)


def _image(form: str, side: int) -> bytes:
    written = io.BytesIO()
    Image.radial_gradient("L").resize((side, side)).convert("RGB").save(written, form)
    return written.getvalue()


def _speech() -> bytes:
    """Two voices that get louder and softer."""
    second = array(
        "h",
        (int(9000 * math.sin(at * pitch) * abs(math.sin(at / 4000))) for at in range(_RATE) for pitch in (0.05, 0.08)),
    )
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(second.tobytes() * _SECONDS)
    return written.getvalue()
