"""Files for the tests, made by Pillow and PyAV."""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
from PIL import Image

RATE = 48_000


@contextmanager
def given(content: bytes) -> Iterator[int]:
    """A descriptor of a file in memory, somewhere in its middle."""
    descriptor = os.memfd_create("given")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, len(content) // 2, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def picture(form: str, size: tuple[int, int] = (300, 200), mode: str = "RGB", **options: Any) -> bytes:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, "red")
    image.paste((0, 0, 255), (size[0] // 2, 0, size[0], size[1]))
    written = io.BytesIO()
    image.convert(mode).save(written, form, **options)
    return written.getvalue()


def moving(form: str, frames: int = 10, size: tuple[int, int] = (100, 60), duration: int = 100) -> bytes:
    """An animated image whose colour changes."""
    images = [Image.new("RGB", size, (25 * number % 256, 0, 0)) for number in range(frames)]
    written = io.BytesIO()
    images[0].save(written, form, save_all=True, append_images=images[1:], duration=duration, loop=0)
    return written.getvalue()


def noise(form: str, size: tuple[int, int], frames: int = 1) -> bytes:
    """What no encoder can make small."""
    images = [Image.frombytes("RGB", size, os.urandom(3 * size[0] * size[1])) for _ in range(frames)]
    written = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:], "duration": 100} if frames > 1 else {}
    images[0].save(written, form, **more)
    return written.getvalue()


def png_of_size(width: int, height: int, content: bytes = b"") -> bytes:
    """A PNG that says how large it is, and has *content* as its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(content, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


def sound(
    form: str, codec: str, seconds: float = 3.0, *, layout: str = "stereo", rate: int = RATE, loudest: int = 20_000
) -> bytes:
    """A tone that is silent at first and loud at the end."""
    written = io.BytesIO()
    with av.open(written, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for frame in _tone(seconds, layout, rate, loudest):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written.getvalue()


def _tone(seconds: float, layout: str, rate: int, loudest: int = 20_000) -> Iterator[av.AudioFrame]:
    step, channels = rate // 50, 1 if layout == "mono" else 2
    for start in range(0, int(seconds * rate), step):
        loudness = loudest * start / (seconds * rate)
        samples = array(
            "h", (int(loudness * math.sin(at * 0.06)) for at in range(start, start + step) for _ in range(channels))
        )
        frame = av.AudioFrame(format="s16", layout=layout, samples=step)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame


def video(
    form: str = "mp4",
    codec: str = "libx264",
    *,
    audio: str | None = None,
    size: tuple[int, int] = (320, 240),
    seconds: float = 2.0,
    rotation: int = 0,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> bytes:
    """Red on the left, blue on the right, 30 pictures a second, a white bar that grows at the top."""
    written = os.memfd_create("written")
    picture = Image.new("RGB", size, "red")
    picture.paste((0, 0, 255), (size[0] // 2, 0, size[0], size[1]))
    with av.open(f"/proc/self/fd/{written}", "w", format=form, options=options) as container:
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else None
        stream = container.add_stream(codec, rate=30, options=quiet)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if rotation:
            stream.set_display_rotation(rotation)
        tone = None if audio is None else container.add_stream(audio, rate=RATE, layout="stereo")
        for number in range(int(30 * seconds)):
            picture.paste((255, 255, 255), (0, 0, size[0] * (number + 1) // int(30 * seconds + 1), 10))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
        if tone is not None:
            for frame in _tone(seconds, "stereo", RATE):
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    with os.fdopen(written, "rb") as file:
        file.seek(0)
        return file.read()


def pdf(pages: int = 3) -> bytes:
    """By hand: each page has a black half."""
    drawn = b"0 0 0 rg 0 0 300 200 re f"
    kids = " ".join(f"{4 + number} 0 R" for number in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        *[b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] /Contents 3 0 R >>"] * pages,
    ]
    body, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1, table, len(objects) + 1, len(body),
    )  # fmt: skip


def heic(size: tuple[int, int] = (256, 128)) -> bytes:
    """A photo as iPhones make them, by hand around a picture of x265: red on the left, blue on the right."""
    movie = video("mp4", "libx265", size=size)
    at = movie.index(b"hvcC") - 4
    decoder = movie[at : at + int.from_bytes(movie[at : at + 4], "big")]
    with av.open(io.BytesIO(movie)) as container:
        pixels = bytes(next(container.demux(video=0)))

    def box(name: bytes, *content: bytes) -> bytes:
        return struct.pack(">I", 8 + sum(map(len, content))) + name + b"".join(content)

    def full(name: bytes, *content: bytes, version: int = 0) -> bytes:
        return box(name, bytes([version, 0, 0, 0]), *content)

    def meta(offset: int) -> bytes:
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", b"\0\1"),
            full(b"iinf", b"\0\1", full(b"infe", b"\0\1\0\0hvc1\0", version=2)),
            full(b"iloc", b"\x44\0\0\1\0\1\0\0\0\1", struct.pack(">II", offset, len(pixels))),
            box(
                b"iprp",
                box(b"ipco", decoder, full(b"ispe", struct.pack(">II", *size))),
                full(b"ipma", b"\0\0\0\1\0\1\2\x81\x02"),
            ),
        )

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", pixels)
