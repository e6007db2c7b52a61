"""Videos: what is in them, and their pictures."""

from __future__ import annotations

from typing import Any, Final

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from zapwire.media_tools.child import containers, images
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.child.source import Source
from zapwire.media_tools.faults import MediaFault

_LARGE_ENOUGH: Final = 200
"""Pixels of a side, for a thumbnail that is made smaller once more."""


def inspect(request: Request) -> dict[str, Any]:
    """What is in the video."""
    return {"facts": facts(request)}


def facts(request: Request, source: Source | None = None) -> dict[str, Any]:
    """What is in *source*, or in the file of the request; its first picture is decoded."""
    with containers.opened(request, source) as container:
        video = containers.video_of(container, request)
        kind = containers.mime_type(container, video, containers.sound_of(container))
        seconds = containers.seconds_of(container, video)
        container.seek(0)
        frame = first_frame(container, video)
        width, height = shown_size(frame)
        thumbnail = images.thumbnail(picture(frame, _LARGE_ENOUGH))
    told = {"mime_type": kind, "width": width, "height": height, "seconds": seconds, "thumbnail": thumbnail}
    return {**told, "animated": kind == "image/gif"}


def first_frame(container: InputContainer, video: VideoStream) -> VideoFrame:
    """Raises `Fault` when there is not a single picture."""
    for frame in container.decode(video):
        return frame
    raise Fault(MediaFault.DAMAGED)


def shown_size(frame: VideoFrame) -> tuple[int, int]:
    """Width and height, turned as the file says."""
    on_its_side = frame.rotation % 180 != 0
    return (frame.height, frame.width) if on_its_side else (frame.width, frame.height)


def picture(frame: VideoFrame, longest: int) -> Image.Image:
    """The frame as an image with transparency, turned as the file says, its longer side at most *longest* pixels."""
    scale = min(1.0, longest / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    image: Image.Image = frame.reformat(width=width, height=height, format="rgba").to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
