"""Sound and video files: FFmpeg's containers and codecs, of which only those are tried that people send.

A whitelist, because FFmpeg reads hundreds of formats, among them playlists that name other files and addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from zapwire.media_tools.child import mp4_boxes
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.child.source import Source
from zapwire.media_tools.faults import MediaFault

_CONTAINERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf", "mpegts", "mpeg", "ogg", "wav", "w64", "mp3",
    "aac", "flac", "amr", "amrnb", "amrwb", "aiff", "au", "caf", "gif",
)  # fmt: skip
_VIDEO: Final = (
    "h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mpeg4", "msmpeg4", "mpeg2video", "mpeg1video", "h263", "flv",
    "wmv1", "wmv2", "wmv3", "vc1", "mjpeg", "theora", "gif",
)  # fmt: skip
_AUDIO: Final = (
    "aac", "mp3", "mp3float", "mp2", "mp2float", "opus", "libopus", "vorbis", "flac", "alac", "ac3", "eac3",
    "wmav1", "wmav2", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "gsm", "gsm_ms", "speex",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be",
    "pcm_f64le", "pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt",
)  # fmt: skip
_MIME_TYPES: Final = {
    "matroska,webm": ("video/x-matroska", "audio/x-matroska"),
    "avi": ("video/x-msvideo", "audio/x-msvideo"),
    "flv": ("video/x-flv", "audio/x-flv"),
    "asf": ("video/x-ms-asf", "audio/x-ms-wma"),
    "mpegts": ("video/mp2t", "audio/mp2t"),
    "mpeg": ("video/mpeg", "audio/mpeg"),
    "ogg": ("video/ogg", "audio/ogg"),
    "wav": ("audio/wav", "audio/wav"),
    "w64": ("audio/wav", "audio/wav"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "aac": ("audio/aac", "audio/aac"),
    "flac": ("audio/flac", "audio/flac"),
    "aiff": ("audio/aiff", "audio/aiff"),
    "au": ("audio/basic", "audio/basic"),
    "caf": ("audio/x-caf", "audio/x-caf"),
    "gif": ("image/gif", "image/gif"),
}
"""Of a file with video, and of one without."""
_WEBM: Final = frozenset({"vp8", "vp9", "av1", "opus", "vorbis"})
_MAGIC: Final = (b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"ID3", b"#!AMR", b"FLV", b"GIF8", b"caff", b"FORM")

_IN_RIFF: Final = (b"WAVE", b"AVI ")
"""How files begin that are of these formats, whole or not."""


@contextmanager
def opened(request: Request, source: Source | None = None) -> Iterator[InputContainer]:
    """The file, with its streams. Raises `Fault`, also for what is done with it inside."""
    source = source or request.source()
    start = source.at(0, 16)
    is_mp4 = mp4_boxes.is_mp4(source)
    if is_mp4 and mp4_boxes.ends_too_early(source):
        raise Fault(MediaFault.DAMAGED)
    try:
        with av.open(source, "r", options=_options(request), metadata_errors="replace", io_open=_refuse) as container:
            yield container
    except MemoryError:
        raise
    except (FFmpegError, EOFError, ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
        known = is_mp4 or start.startswith(_MAGIC) or start[8:12] in _IN_RIFF or not isinstance(error, FFmpegError)
        raise Fault(MediaFault.DAMAGED if known else MediaFault.UNKNOWN_FORMAT) from error


def _options(request: Request) -> dict[str, str]:
    return {
        "format_whitelist": ",".join(_CONTAINERS),
        "codec_whitelist": ",".join({*_VIDEO, *_AUDIO}),
        # while it looks what is there; a little more than is decoded, so that what is too large still says how large
        "max_pixels": str(4 * request.limits.pixels),
        "max_streams": "50",
    }


def _refuse(_url: str, _flags: int, _options: Any) -> NoReturn:
    raise PermissionError  # what a file names is not opened


def video_of(container: InputContainer, request: Request) -> VideoStream:
    """The video, which may be decoded. Raises `Fault` when there is none, or it is too large."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # the cover of a piece of music
            continue
        _check_codec(stream, _VIDEO)
        request.check_pixels(stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = {"max_pixels": str(request.limits.pixels)}
        stream.codec_context.thread_count = 1  # each thread keeps pictures of its own
        return stream
    raise Fault(MediaFault.NO_VIDEO)


def sound_of(container: InputContainer) -> AudioStream | None:
    """The sound, which may be decoded, if there is any."""
    for stream in container.streams.audio:
        _check_codec(stream, _AUDIO)
        return stream
    return None


def _check_codec(stream: VideoStream | AudioStream, allowed: Iterable[str]) -> None:
    # a stream of an unknown codec has no context at all, whatever the stubs say
    context: Any = stream.codec_context
    if context is None or context.codec.name not in allowed:
        raise Fault(MediaFault.UNKNOWN_FORMAT)


def mime_type(container: InputContainer, video: VideoStream | None, sound: AudioStream | None) -> str:
    """Of the file, by what is in it."""
    name = container.format.name
    kind = "audio" if video is None else "video"
    codecs = {stream.codec_context.name for stream in (video, sound) if stream is not None}
    if name.startswith("mov,"):
        brand = container.metadata.get("major_brand", "")
        return f"{kind}/3gpp" if brand.startswith("3g") else "video/quicktime" if brand == "qt  " else f"{kind}/mp4"
    if name == "matroska,webm" and {one.removeprefix("lib") for one in codecs} <= _WEBM | {"dav1d"}:
        return f"{kind}/webm"
    if name == "ogg" and video is None and sound is not None and sound.codec_context.name in {"opus", "libopus"}:
        return "audio/ogg; codecs=opus"
    if name.startswith("amr"):
        return "audio/amr"
    return _MIME_TYPES[name][video is None]


def seconds_of(container: InputContainer, stream: VideoStream | AudioStream) -> float:
    """How long it is: as it says, or else by its packets, as what a browser recorded does not say."""
    if stream.duration and stream.time_base and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    if container.duration and container.duration > 0:
        return float(container.duration / av.time_base)
    return _by_packets(container, stream)


def _by_packets(container: InputContainer, stream: VideoStream | AudioStream) -> float:
    first = last = 0
    for number, packet in enumerate(container.demux(stream)):
        if packet.pts is not None:
            first = packet.pts if number == 0 else first
            last = max(last, packet.pts + (packet.duration or 0))
    return max(0.0, float((last - first) * (stream.time_base or 0)))
