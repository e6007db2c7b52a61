"""Images and short videos as stickers."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageOps, ImageSequence

from zapwire.media_tools.child import containers, images, video
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.faults import MediaFault

SIDE: Final = 512
STATIC_BYTES: Final = 100_000
ANIMATED_BYTES: Final = 500_000
LONGEST: Final = 10.0
_TOLERANCE: Final = 0.1
"""Seconds: a video's last picture may end a little after ten."""
_STATIC_QUALITIES: Final = (90, 75, 60, 40, 20, 5)
_TRIES: Final = ((15, 70), (15, 40), (10, 40), (10, 15), (6, 10), (4, 1))
"""Pictures a second and quality of animated ones, the best first."""
_FAR: Final = 3
_SHORTEST_FRAME: Final = 20
"""Milliseconds; what a GIF says below that, browsers show at 100."""
_USUAL_FRAME: Final = 100


@dataclass
class _Frame:
    image: Image.Image
    milliseconds: float


def convert(request: Request) -> dict[str, Any]:
    """To a WebP of 512 x 512 pixels. Raises `Fault` when it does not get small enough."""
    try:
        with images.opened(request) as image:
            written = _of_image(request, image)
    except Fault as fault:
        if fault.fault is not MediaFault.UNKNOWN_FORMAT:
            raise
        written = _animated(_of_video(request))
    with os.fdopen(os.dup(request.target()), "wb") as target:
        target.write(written)
    with Image.open(io.BytesIO(written)) as sticker:
        return {"facts": images.facts(sticker)}


def _of_image(request: Request, image: Image.Image) -> bytes:
    animated = images.is_animated(image)
    if image.format == "WEBP" and image.size == (SIDE, SIDE):
        source = request.source()
        if source.size <= (ANIMATED_BYTES if animated else STATIC_BYTES):
            image.load()
            return source.at(0, source.size)  # it is one already, perhaps with the name of its pack
    return _animated(_frames_of(image)) if animated else _static(_fit(image))


def _static(image: Image.Image) -> bytes:
    for quality in _STATIC_QUALITIES:
        written = io.BytesIO()
        image.save(written, "WEBP", quality=quality, method=4)
        if written.tell() <= STATIC_BYTES:
            return written.getvalue()
    raise Fault(MediaFault.TOO_LARGE, f"{STATIC_BYTES} bytes")


def _fit(image: Image.Image) -> Image.Image:
    image.draft("RGB", (SIDE, SIDE))
    return ImageOps.pad(
        images.turned(image).convert("RGBA"), (SIDE, SIDE), Image.Resampling.LANCZOS, color=(0, 0, 0, 0)
    )


def _frames_of(image: Image.Image) -> list[_Frame]:
    frames: list[_Frame] = []
    passed = 0.0
    for frame in ImageSequence.Iterator(image):
        lasts = float(frame.info.get("duration") or 0)
        lasts = lasts if lasts >= _SHORTEST_FRAME else _USUAL_FRAME
        passed += lasts
        _check_length(passed / 1000)
        if frames and frames[-1].milliseconds < 1000 / _TRIES[0][0] - 1:  # more than are shown need not be kept
            frames[-1].milliseconds += lasts
        else:
            frames.append(_Frame(_fit(frame), lasts))
    return frames


def _of_video(request: Request) -> list[_Frame]:
    most = _TRIES[0][0]
    with containers.opened(request) as container:
        stream = containers.video_of(container, request)
        frames: list[_Frame] = []
        began = shown = 0.0
        for number, frame in enumerate(container.decode(stream)):
            now = frame.time if frame.time is not None else number / float(stream.average_rate or most)
            began = now if number == 0 else began
            _check_length(now - began)
            if not frames or now - shown >= 1 / most - 0.001:
                _lasts_until(frames, now - shown)
                frames.append(_Frame(_fit(video.picture(frame, SIDE)), 1000 / most))
                shown = now
    if not frames:
        raise Fault(MediaFault.DAMAGED)
    return frames


def _lasts_until(frames: list[_Frame], seconds: float) -> None:
    if frames:
        frames[-1].milliseconds = max(float(_SHORTEST_FRAME), 1000 * seconds)


def _check_length(seconds: float) -> None:
    if seconds > LONGEST + _TOLERANCE:
        raise Fault(MediaFault.TOO_LONG, f"{LONGEST:g} s")


def _animated(frames: list[_Frame]) -> bytes:
    number = 0
    while number < len(_TRIES):
        written = _encoded(frames, *_TRIES[number])
        if len(written) <= ANIMATED_BYTES:
            return written
        # far too large: the next one would be too large as well
        number += 2 if len(written) > _FAR * ANIMATED_BYTES and number + 2 < len(_TRIES) else 1
    raise Fault(MediaFault.TOO_LARGE, f"{ANIMATED_BYTES} bytes")


def _encoded(frames: list[_Frame], rate: int, quality: int) -> bytes:
    fewer, written = _at_most(frames, rate), io.BytesIO()
    fewer[0].image.save(
        written, "WEBP", save_all=True, append_images=[frame.image for frame in fewer[1:]], loop=0,
        duration=[round(frame.milliseconds) for frame in fewer], quality=quality, method=2, allow_mixed=False,
    )  # fmt: skip
    return written.getvalue()


def _at_most(frames: list[_Frame], rate: int) -> list[_Frame]:
    """The same with at most *rate* pictures a second: each lasts longer, all together as long."""
    kept: list[_Frame] = []
    for frame in frames:
        if kept and kept[-1].milliseconds < 1000 / rate - 1:
            kept[-1].milliseconds += frame.milliseconds
        else:
            kept.append(_Frame(frame.image, frame.milliseconds))
    return kept
