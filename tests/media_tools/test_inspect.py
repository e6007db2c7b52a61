"""What is told of files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.media_tools import making
from zapwire.media_tools.facts import MediaFacts, MediaKind
from zapwire.media_tools.tools import MediaTools


async def inspected(content: bytes, kind: MediaKind) -> MediaFacts:
    with making.given(content) as descriptor:
        return await MediaTools().inspect(descriptor, kind)


def opened(thumbnail: bytes | None) -> Image.Image:
    assert thumbnail is not None
    assert len(thumbnail) < 16_000
    image = Image.open(io.BytesIO(thumbnail))
    assert image.format == "JPEG"
    assert max(image.size) == 100
    return image


def is_red_then_blue(image: Image.Image) -> bool:
    left, right = (image.convert("RGB").getpixel((int(image.width * part), image.height // 2)) for part in (0.1, 0.9))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    return left[0] > 200 and left[2] < 60 and right[2] > 200 and right[0] < 60


@pytest.mark.parametrize(
    ("form", "mime_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
    ],
)
async def test_images(form: str, mime_type: str) -> None:
    facts = await inspected(making.picture(form), "image")
    assert (facts.mime_type, facts.width, facts.height) == (mime_type, 300, 200)
    assert not facts.animated
    assert is_red_then_blue(opened(facts.thumbnail))


async def test_a_photo_is_told_of_as_it_is_shown() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was on its side
    facts = await inspected(making.picture("JPEG", exif=turned), "image")
    assert (facts.width, facts.height) == (200, 300)
    assert opened(facts.thumbnail).size == (67, 100)


async def test_what_is_transparent_is_white_in_a_thumbnail() -> None:
    written = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).resize((200, 200)).save(written, "PNG")
    pixel = opened((await inspected(written.getvalue(), "image")).thumbnail).getpixel((50, 50))
    assert isinstance(pixel, tuple)
    assert min(pixel) > 250


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
async def test_an_animated_image_says_so(form: str) -> None:
    assert (await inspected(making.moving(form), "sticker")).animated


@pytest.mark.parametrize(
    ("form", "codec", "mime_type"),
    [
        ("mp4", "libx264", "video/mp4"),
        ("mov", "libx264", "video/quicktime"),
        ("matroska", "libx264", "video/x-matroska"),
        ("webm", "libvpx", "video/webm"),
        ("avi", "mpeg4", "video/x-msvideo"),
    ],
)
async def test_videos(form: str, codec: str, mime_type: str) -> None:
    facts = await inspected(making.video(form, codec), "video")
    assert (facts.mime_type, facts.width, facts.height) == (mime_type, 320, 240)
    assert facts.seconds == pytest.approx(2, abs=0.1)
    assert is_red_then_blue(opened(facts.thumbnail))


async def test_a_video_that_is_turned_is_told_of_as_it_is_shown() -> None:
    facts = await inspected(making.video(rotation=90), "video")
    assert (facts.width, facts.height) == (240, 320)
    assert opened(facts.thumbnail).size == (75, 100)


@pytest.mark.parametrize(
    ("form", "codec", "mime_type"),
    [
        ("wav", "pcm_s16le", "audio/wav"),
        ("mp3", "mp3", "audio/mpeg"),
        ("adts", "aac", "audio/aac"),
        ("ipod", "aac", "audio/mp4"),
        ("flac", "flac", "audio/flac"),
        ("ogg", "libopus", "audio/ogg; codecs=opus"),
        ("webm", "libopus", "audio/webm"),
    ],
)
async def test_sounds(form: str, codec: str, mime_type: str) -> None:
    facts = await inspected(making.sound(form, codec), "audio")
    assert facts.mime_type == mime_type
    assert facts.seconds == pytest.approx(3, abs=0.15)
    assert facts.thumbnail is None


async def test_what_a_browser_records_does_not_say_how_long_it_is() -> None:
    live = making.video("webm", "libvpx", options={"live": "1"})
    assert (await inspected(live, "video")).seconds == pytest.approx(2, abs=0.1)


async def test_a_pdf() -> None:
    facts = await inspected(making.pdf(3), "document")
    assert (facts.mime_type, facts.pages) == ("application/pdf", 3)
    page = opened(facts.thumbnail).convert("L")
    assert page.size == (75, 100)
    top, bottom = page.getpixel((37, 20)), page.getpixel((37, 80))
    assert isinstance(top, (int, float))
    assert isinstance(bottom, (int, float))
    assert top > 200 > 50 > bottom


async def test_a_document_that_cannot_be_read_is_told_of_all_the_same() -> None:
    assert await inspected(making.pdf()[:80], "document") == MediaFacts(mime_type="application/pdf")


async def test_a_document_that_is_no_pdf_needs_no_child() -> None:
    facts = await inspected(b"PK\x03\x04 and so on", "document")
    assert facts == MediaFacts(mime_type="application/octet-stream")


async def test_the_position_of_a_file_stays_where_it_is_also_of_an_unlinked_one(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b") as file:
        file.write(making.picture("PNG"))
        file.flush()
        (tmp_path / "x").unlink()
        file.seek(11)
        assert (await MediaTools().inspect(file.fileno(), "image")).width == 300
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 11
