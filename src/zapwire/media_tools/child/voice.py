"""Any sound as a voice note."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from zapwire.media_tools.child import containers
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.child.waveform import Waveform
from zapwire.media_tools.faults import MediaFault

RATE: Final = 48_000
_BIT_RATE: Final = 32_000
"""Of speech, as WhatsApp's own clients have it."""
_OPUS: Final = ("opus", "libopus")


def convert(request: Request) -> dict[str, Any]:
    """To Opus in Ogg, with the loudness over time."""
    waveform = Waveform(RATE)
    with containers.opened(request) as source, os.fdopen(os.dup(request.target()), "wb") as target:
        sound = containers.sound_of(source)
        if sound is None:
            raise Fault(MediaFault.NO_AUDIO)
        copied = sound.codec_context.name in _OPUS and sound.codec_context.channels == 1
        with av.open(_Limited(target, request), "w", format="ogg", options={"fflags": "+bitexact"}) as note:
            (_copy if copied else _encode)(source, sound, note, waveform)
    if waveform.samples == 0:
        raise Fault(MediaFault.NO_AUDIO)
    return {"seconds": waveform.samples / RATE, "waveform": waveform.points()}


def _encode(source: InputContainer, sound: AudioStream, note: OutputContainer, waveform: Waveform) -> None:
    stream = note.add_stream("libopus", rate=RATE, layout="mono", options={"application": "voip"})
    stream.bit_rate = _BIT_RATE
    for frame in _mono(source.decode(sound)):
        frame.pts = waveform.samples  # gaps are closed
        waveform.add(frame)
        note.mux(stream.encode(frame))
    note.mux(stream.encode(None))


def _copy(source: InputContainer, sound: AudioStream, note: OutputContainer, waveform: Waveform) -> None:
    stream = note.add_stream_from_template(sound)
    resampler = _resampler()
    for packet in source.demux(sound):
        for frame in packet.decode():
            for piece in resampler.resample(frame):
                waveform.add(piece)
        if packet.dts is not None:
            packet.stream = stream
            note.mux(packet)


def _mono(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    resampler = _resampler()
    for frame in frames:
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=RATE)


class _Limited:
    """A file that grows up to the limit; for FFmpeg, which only writes and moves."""

    def __init__(self, file: BinaryIO, request: Request) -> None:
        self._file = file
        self._request = request

    def write(self, data: bytes) -> int:
        self._request.check_size(self._file.tell() + len(data))
        return self._file.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
