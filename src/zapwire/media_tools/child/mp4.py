"""Videos and animated images as MP4 with H.264 and AAC."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any, Final, Protocol

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import ImageSequence

from zapwire.media_tools.child import containers, images, mp4_boxes, video
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.h264 import Encoder
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.child.source import Source
from zapwire.media_tools.faults import MediaFault

_RATE: Final = 48_000
_BIT_RATE: Final = 128_000
_SHOWN_AS_IS: Final = ("yuv420p", "yuvj420p")
_USUAL_FRAME: Final = 100
"""Milliseconds that a picture lasts which does not say it."""
_MOST_WITHOUT: Final = 20
"""Packets at the start that do not say when they are to be decoded."""


class _Track(Protocol):
    """One stream of the result."""

    def take(self, packet: Packet[Any]) -> None:
        """The next packet of the source; the last one is empty."""


def convert(request: Request) -> dict[str, Any]:
    """To MP4, unless it is one with these codecs."""
    try:
        with containers.opened(request) as source:
            if _unchanged(source, request):
                return {"facts": video.facts(request), "unchanged": True}
            _rewrite(source, request)
    except Fault as fault:
        if fault.fault is not MediaFault.UNKNOWN_FORMAT:
            raise
        _from_image(request)
    return {"facts": video.facts(request, Source(request.target()))}


def _unchanged(source: InputContainer, request: Request) -> bool:
    stream, sound = containers.video_of(source, request), containers.sound_of(source)
    boxes = mp4_boxes.outermost(request.source()) or set()
    return (
        containers.mime_type(source, stream, sound) == "video/mp4"
        and b"moof" not in boxes
        and _is_h264(stream)
        and (sound is None if not request.sound else len(source.streams.audio) <= 1 and _is_aac(sound))
    )


def _is_h264(stream: VideoStream) -> bool:
    return stream.codec_context.name == "h264" and stream.codec_context.pix_fmt in _SHOWN_AS_IS


def _is_aac(sound: AudioStream | None) -> bool:
    return sound is None or sound.codec_context.name == "aac"


def _target(request: Request) -> OutputContainer:
    # by a path of the descriptor: to put the table of contents first, FFmpeg opens what it wrote once more
    options = {"movflags": "+faststart", "fflags": "+bitexact", "avoid_negative_ts": "make_zero"}
    return av.open(f"/proc/self/fd/{request.target()}", "w", format="mp4", options=options)


def _rewrite(source: InputContainer, request: Request) -> None:
    stream = containers.video_of(source, request)
    sound = containers.sound_of(source) if request.sound else None
    with _target(request) as target:
        tracks: dict[int, _Track] = {stream.index: _video_track(source, stream, target)}
        if sound is not None:
            tracks[sound.index] = _Copied(sound, target) if _is_aac(sound) else _EncodedSound(target)
        source.seek(0)
        for packet in source.demux([one for one in (stream, sound) if one is not None]):
            tracks[packet.stream.index].take(packet)
            request.check_size(os.fstat(request.target()).st_size)
    request.check_size(os.fstat(request.target()).st_size)


def _video_track(source: InputContainer, stream: VideoStream, target: OutputContainer) -> _Track:
    return _Copied(stream, target) if _is_h264(stream) else _EncodedVideo(source, stream, target)


class _Copied:
    def __init__(self, stream: VideoStream | AudioStream, target: OutputContainer) -> None:
        self._stream = target.add_stream_from_template(stream)
        self._target = target
        self._first: list[Packet[Any]] | None = []

    def take(self, packet: Packet[Any]) -> None:
        if packet.size == 0:
            return
        if self._first is None:
            self._write(packet)
            return
        self._first.append(packet)
        if packet.dts is not None or len(self._first) > _MOST_WITHOUT:
            self._write_first(self._first)

    def _write_first(self, packets: list[Packet[Any]]) -> None:
        """Matroska has no decoding time for what comes before the first picture that others refer back to."""
        self._first = None
        dts = packets[-1].dts
        if dts is None:
            raise Fault(MediaFault.DAMAGED)
        step = max(1, packets[0].duration or 1)
        for number, packet in enumerate(packets):
            packet.dts = dts - (len(packets) - 1 - number) * step
            self._write(packet)

    def _write(self, packet: Packet[Any]) -> None:
        packet.stream = self._stream
        self._target.mux(packet)


class _EncodedVideo:
    def __init__(self, source: InputContainer, stream: VideoStream, target: OutputContainer) -> None:
        source.seek(0)
        first = video.first_frame(source, stream)  # only pictures say how they are turned
        self._encoder = Encoder(target, first.width, first.height, first.rotation)
        self._step = 1 / float(stream.average_rate or 25)
        self._lasts = self._step
        self._next = first.time or 0.0

    def take(self, packet: Packet[Any]) -> None:
        for frame in packet.decode():
            seconds = frame.time if frame.time is not None else self._next
            self._lasts = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else self._step
            self._next = seconds + self._lasts
            self._encoder.add(_as_frame(frame), seconds)
        if packet.size == 0:
            self._encoder.finish(lasts=self._lasts)


def _as_frame(frame: object) -> VideoFrame:
    if not isinstance(frame, VideoFrame):
        raise Fault(MediaFault.DAMAGED)
    return frame


class _EncodedSound:
    def __init__(self, target: OutputContainer) -> None:
        self._stream = target.add_stream("aac", rate=_RATE, layout="stereo")
        self._stream.bit_rate = _BIT_RATE
        self._resampler = AudioResampler(format="fltp", layout="stereo", rate=_RATE)
        self._target = target
        self._at: int | None = None

    def take(self, packet: Packet[Any]) -> None:
        frames: list[Any] = list(packet.decode())
        if packet.size == 0:
            frames.append(None)
        for frame in frames:
            for piece in self._resampler.resample(frame):
                if self._at is None:
                    self._at = round((piece.time or 0.0) * _RATE)
                piece.pts, piece.time_base = self._at, Fraction(1, _RATE)
                self._at += piece.samples
                self._target.mux(self._stream.encode(piece))
        if None in frames:
            self._target.mux(self._stream.encode(None))


def _from_image(request: Request) -> None:
    """What Pillow reads and FFmpeg does not: animated WebP, PNG and AVIF."""
    with images.opened(request) as image, _target(request) as target:
        if not images.is_animated(image):
            raise Fault(MediaFault.NO_VIDEO)
        encoder = Encoder(target, *image.size, rotation=0)
        seconds = lasts = 0.0
        for picture in ImageSequence.Iterator(image):
            encoder.add(VideoFrame.from_image(images.on_white(picture)), seconds)
            lasts = float(picture.info.get("duration") or _USUAL_FRAME) / 1000
            seconds += lasts
            request.check_size(os.fstat(request.target()).st_size)
        encoder.finish(lasts=lasts)
