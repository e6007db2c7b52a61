"""Files that are damaged, or made to harm: each is refused with a reason, and nothing else happens."""

from __future__ import annotations

import io
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.media_tools import making
from zapwire.media_tools.facts import MediaKind
from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.limits import Limits
from zapwire.media_tools.tools import MediaTools

MEGABYTE = 1 << 20
PIXELS = {"huffyuv": "yuv422p"}


async def fault(content: bytes, kind: MediaKind, limit: Limits | None = None) -> tuple[MediaFault, str]:
    with making.given(content) as descriptor, pytest.raises(InvalidMedia) as refused:
        await MediaTools(limit=limit).inspect(descriptor, kind)
    return refused.value.fault, refused.value.detail


@pytest.mark.parametrize("kind", ["image", "sticker", "video", "gif", "video_note", "audio", "voice", "document"])
async def test_an_empty_file(kind: MediaKind) -> None:
    assert await fault(b"", kind) == (MediaFault.EMPTY, "the file is empty")


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
@pytest.mark.parametrize("content", [b"PK\x03\x04" * 500, b"<html>" * 500, bytes(5000), b"\x01"])
async def test_something_else(kind: MediaKind, content: bytes) -> None:
    assert (await fault(content, kind))[0] is MediaFault.UNKNOWN_FORMAT


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF", "TIFF"])
async def test_an_image_that_ends_too_early(form: str) -> None:
    content = making.noise(form, (200, 200))
    assert (await fault(content[: len(content) // 2], "image"))[0] is MediaFault.DAMAGED


@pytest.mark.parametrize("part", [0.2, 0.5, 0.99])
@pytest.mark.parametrize("options", [None, {"movflags": "+faststart"}])
async def test_an_mp4_that_ends_too_early(part: float, options: dict[str, str] | None) -> None:
    content = making.video(audio="aac", options=options)
    assert (await fault(content[: int(len(content) * part)], "video"))[0] is MediaFault.DAMAGED


async def test_a_hundred_megapixels() -> None:
    found, detail = await fault(making.png_of_size(10_000, 10_000, b"\0" * 30_001), "image")
    assert found is MediaFault.TOO_MANY_PIXELS
    assert detail == "the picture has too many pixels (the limit is 50 megapixels)"


async def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    row = bytes(3 * 30_000 + 1)
    assert (await fault(making.png_of_size(30_000, 30_000, row * 600), "image"))[0] is MediaFault.TOO_MANY_PIXELS


async def test_a_bomb_in_the_text_of_an_image() -> None:
    written = io.BytesIO()
    from PIL import PngImagePlugin  # noqa: PLC0415

    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "\0" * (80 * MEGABYTE), zip=True)
    Image.new("RGB", (10, 10)).save(written, "PNG", pnginfo=text)
    assert (await fault(written.getvalue(), "image"))[0] is MediaFault.DAMAGED


async def test_a_video_of_too_many_pixels() -> None:
    found, _ = await fault(making.video("avi", "mpeg4"), "video", Limits(pixels=50_000))
    assert found is MediaFault.TOO_MANY_PIXELS


async def test_a_video_that_grows_behind_its_head() -> None:
    content = making.video("mp4", "mpeg4", size=(1920, 1080), seconds=0.1)
    smaller = content.replace(struct.pack(">HH", 1920, 1080), struct.pack(">HH", 16, 16))
    assert smaller != content
    found, _ = await fault(smaller, "video", Limits(pixels=100_000))
    assert found in {MediaFault.TOO_MANY_PIXELS, MediaFault.DAMAGED}


async def test_a_decoder_that_eats_memory_is_ended_and_the_next_one_works() -> None:
    tools = MediaTools(limit=Limits(memory=200 * MEGABYTE))
    eats = making.picture("PNG", (7000, 7000))
    with making.given(eats) as descriptor, pytest.raises(InvalidMedia) as refused:
        await tools.inspect(descriptor, "image")
    assert refused.value.fault is MediaFault.OUT_OF_MEMORY
    assert refused.value.detail == "decoding the file takes too much memory (the limit is 200 megabytes)"
    with making.given(making.picture("PNG")) as descriptor:
        assert (await tools.inspect(descriptor, "image")).width == 300


async def test_a_decoder_that_eats_time_is_ended() -> None:
    endless = making.video("avi", "mpeg4", size=(1280, 720), seconds=20)
    with making.given(endless) as descriptor, pytest.raises(InvalidMedia) as refused:
        await MediaTools(limit=Limits(cpu=1)).to_mp4(descriptor)
    assert refused.value.fault is MediaFault.TIMED_OUT
    assert "1 s of processor time" in refused.value.detail


async def test_a_result_that_is_too_large() -> None:
    with making.given(making.noise("BMP", (1000, 1000))) as descriptor, pytest.raises(InvalidMedia) as refused:
        await MediaTools(limit=Limits(output=100_000)).to_jpeg(descriptor)
    assert refused.value.fault is MediaFault.TOO_LARGE


async def test_a_protected_pdf_is_told_of_without_pages() -> None:
    content = making.pdf().replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt << /Filter /Standard /V 9 >>")
    with making.given(content) as descriptor:
        facts = await MediaTools().inspect(descriptor, "document")
    assert (facts.mime_type, facts.pages) == ("application/pdf", None)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD><Period><BaseURL>http://127.0.0.1/</BaseURL></Period></MPD>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
    ],
)
async def test_a_playlist_opens_nothing(content: bytes) -> None:
    assert (await fault(content, "video"))[0] is MediaFault.UNKNOWN_FORMAT


@pytest.mark.parametrize(("form", "codec"), [("nut", "mpeg4"), ("matroska", "ffv1"), ("avi", "huffyuv")])
async def test_formats_that_nobody_sends_are_not_even_tried(form: str, codec: str) -> None:
    assert (await fault(making.video(form, codec, pixels=PIXELS.get(codec, "yuv420p")), "video"))[0] in {
        MediaFault.UNKNOWN_FORMAT, MediaFault.DAMAGED,
    }  # fmt: skip


def seeds() -> list[tuple[bytes, MediaKind]]:
    return [
        (making.picture("JPEG", (60, 40)), "image"),
        (making.moving("WEBP", 3, (30, 20)), "sticker"),
        (making.video(seconds=0.2, audio="aac"), "video"),
        (making.sound("ogg", "libopus", 0.2), "audio"),
        (making.pdf(2), "document"),
    ]


SEEDS = seeds()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    number=st.integers(0, len(SEEDS) - 1), places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=20)
)
async def test_any_damage_is_told_or_harmless(number: int, places: list[tuple[float, int]]) -> None:
    content, kind = SEEDS[number]
    damaged = bytearray(content)
    for place, value in places:
        damaged[int(place * (len(damaged) - 1))] = value
    assert await told_of(bytes(damaged), kind) not in {MediaFault.CRASHED, MediaFault.TIMED_OUT, MediaFault.EMPTY}


async def told_of(content: bytes, kind: MediaKind) -> MediaFault | None:
    with making.given(content) as descriptor:
        try:
            await MediaTools().inspect(descriptor, kind)
        except InvalidMedia as refused:
            return refused.fault
    return None


async def test_a_pipe_is_refused_instead_of_waited_for() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(InvalidMedia) as refused:
            await MediaTools().inspect(reading, "image")
        assert refused.value.fault is MediaFault.UNKNOWN_FORMAT
    finally:
        os.close(reading)
        os.close(writing)
