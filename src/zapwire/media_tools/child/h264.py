"""Pictures as H.264, as WhatsApp's clients show it."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from zapwire.media_tools.child import images

_TICKS: Final = 90_000
_LONGEST: Final = 1920
"""Pixels of the longer side."""
_FRAMES: Final = 60
"""A second, at most."""
_QUALITY: Final = {"preset": "veryfast", "crf": "24", "profile": "main"}
_THREADS: Final = 2


class Encoder:
    """Takes in frames in order of their time, and writes them to a container."""

    def __init__(self, container: OutputContainer, width: int, height: int, rotation: int) -> None:
        """*rotation* in degrees is told in the file, not done."""
        scale = min(1.0, _LONGEST / max(width, height))
        # of an odd number of lines there would be half a colour
        self._width, self._height = (max(2, 2 * round(side * scale / 2)) for side in (width, height))
        self.stream: VideoStream = container.add_stream("libx264", rate=30, options=dict(_QUALITY))
        self.stream.width, self.stream.height, self.stream.pix_fmt = self._width, self._height, "yuv420p"
        self.stream.codec_context.time_base = Fraction(1, _TICKS)
        self.stream.codec_context.thread_count = _THREADS
        if rotation:
            self.stream.set_display_rotation(rotation)
        self._container = container
        self._last: int | None = None
        self._waiting: list[Packet[VideoStream]] = []

    def add(self, frame: VideoFrame, seconds: float) -> None:
        """The next frame, shown from *seconds* on; left out when it follows too closely."""
        ticks = round(seconds * _TICKS)
        if self._last is not None and ticks - self._last < _TICKS // _FRAMES:
            return
        if frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
            frame = VideoFrame.from_image(images.on_white(frame.reformat(format="rgba").to_image()))
        shown = frame.reformat(width=self._width, height=self._height, format="yuv420p")
        shown.pts, shown.time_base, shown.pict_type = ticks, Fraction(1, _TICKS), 0
        self._last = ticks
        packets = [*self._waiting, *self.stream.encode(shown)]
        # one is kept back: only at the end it is known which was the last, and how long that is shown
        self._waiting = packets[-1:]
        self._container.mux(packets[:-1])

    def finish(self, lasts: float) -> None:
        """No more frames; the last one is shown for so many seconds."""
        packets = [*self._waiting, *self.stream.encode(None)]
        for packet in packets:
            # the end of the file is told by the one that is shown last, and by the one that is decoded last
            if packet.pts == self._last or packet is packets[-1]:
                packet.duration = max(1, round(lasts * _TICKS))
        self._container.mux(packets)
