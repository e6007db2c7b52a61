"""Images and videos as WhatsApp shows them, decoded again."""

from __future__ import annotations

import io
from typing import Any

import av
import pytest
from PIL import Image

from tests.media_tools import making
from zapwire.media_tools.facts import Converted
from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.tools import MediaTools


async def converted(method: str, content: bytes, **options: Any) -> tuple[Converted, bytes]:
    with making.given(content) as descriptor:
        result: Converted = await getattr(MediaTools(), method)(descriptor, **options)
    if result.file is None:
        return result, b""
    with result.file:
        return result, result.file.read()


def colours(image: Image.Image) -> tuple[Any, Any]:
    """On the left and on the right."""
    shown, middle = image.convert("RGB"), image.height // 2
    return shown.getpixel((image.width // 10, middle)), shown.getpixel((image.width * 9 // 10, middle))


def is_red_then_blue(image: Image.Image) -> bool:
    left, right = colours(image)
    return left[0] > 180 > 80 > left[2] and right[2] > 180 > 80 > right[0]


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (making.picture("WEBP"), (300, 200)),
        (making.picture("TIFF"), (300, 200)),
        (making.picture("BMP"), (300, 200)),
        (making.picture("GIF"), (300, 200)),
        (making.picture("AVIF"), (300, 200)),
        (making.picture("JPEG", mode="CMYK"), (300, 200)),
        (making.picture("BMP", (5000, 1000)), (4096, 819)),
        (making.heic(), (256, 128)),
    ],
)
async def test_an_image_becomes_a_jpeg(content: bytes, size: tuple[int, int]) -> None:
    result, jpeg = await converted("to_jpeg", content)
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
    assert (result.facts.mime_type, result.facts.width, result.facts.height) == ("image/jpeg", *size)
    assert result.facts.thumbnail is not None
    assert is_red_then_blue(image)


async def test_a_jpeg_tells_nothing_of_where_it_was_taken_and_is_turned() -> None:
    told = Image.Exif()
    told[0x0112], told[0x010F] = 3, "Camera"  # upside down
    _, jpeg = await converted("to_jpeg", making.picture("WEBP", exif=told))
    assert b"Camera" not in jpeg
    left, right = colours(Image.open(io.BytesIO(jpeg)))
    assert left[2] > 200 > 60 > left[0]
    assert right[0] > 200


@pytest.mark.parametrize("content", [making.picture("JPEG"), making.picture("PNG"), making.picture("PNG", mode="P")])
async def test_what_whatsapp_shows_stays(content: bytes) -> None:
    result, _ = await converted("to_jpeg", content)
    assert result.file is None
    assert (result.facts.width, result.facts.height) == (300, 200)


async def test_an_image_of_sixteen_bits_becomes_one_of_eight() -> None:
    written = io.BytesIO()
    Image.new("I;16", (100, 100), 65535).save(written, "PNG")
    _, jpeg = await converted("to_jpeg", written.getvalue())
    pixel = Image.open(io.BytesIO(jpeg)).convert("RGB").getpixel((50, 50))
    assert isinstance(pixel, tuple)
    assert min(pixel) > 240


def sticker(content: bytes, most: int) -> Image.Image:
    assert len(content) <= most
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == ("WEBP", (512, 512))
    return image


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF"])
async def test_an_image_becomes_a_sticker(form: str) -> None:
    result, content = await converted("to_sticker", making.picture(form))
    image = sticker(content, 100_000).convert("RGBA")
    assert not result.facts.animated
    assert is_red_then_blue(image)
    assert [image.getpixel((256, y)) for y in (0, 511)] == [(0, 0, 0, 0)] * 2  # padded with nothing


async def test_a_sticker_gets_worse_until_it_fits() -> None:
    _, content = await converted("to_sticker", making.noise("PNG", (512, 512)))
    sticker(content, 100_000)


@pytest.mark.parametrize(
    "content", [making.moving("GIF"), making.moving("WEBP"), making.moving("PNG"), making.video(seconds=1)]
)
async def test_what_moves_becomes_an_animated_sticker(content: bytes) -> None:
    result, written = await converted("to_sticker", content)
    image: Any = sticker(written, 500_000)
    assert result.facts.animated
    assert image.n_frames > 8
    lasts = 0
    for number in range(image.n_frames):
        image.seek(number)
        image.load()
        lasts += image.info["duration"]
    assert lasts == pytest.approx(1000, abs=100)


async def test_an_animated_sticker_gets_worse_until_it_fits() -> None:
    _, content = await converted("to_sticker", making.noise("GIF", (256, 256), frames=20))
    assert getattr(sticker(content, 500_000), "n_frames", 1) > 1


async def test_a_sticker_that_never_fits_is_refused() -> None:
    with pytest.raises(InvalidMedia) as refused:
        await converted("to_sticker", making.noise("GIF", (512, 512), frames=60))
    assert refused.value.fault is MediaFault.TOO_LARGE


async def test_a_sticker_stays_as_it_is() -> None:
    given = making.picture("WEBP", (512, 512), exif=b"Exif\0\0the name of its pack")
    result, content = await converted("to_sticker", given)
    assert content == given
    assert result.facts.mime_type == "image/webp"


@pytest.mark.parametrize("content", [making.video(seconds=11), making.moving("GIF", frames=12, duration=1000)])
async def test_what_moves_too_long_is_no_sticker(content: bytes) -> None:
    with pytest.raises(InvalidMedia) as refused:
        await converted("to_sticker", content)
    assert refused.value.fault is MediaFault.TOO_LONG


def streams(content: bytes) -> dict[str, Any]:
    """What an MP4 has; decodes all of it."""
    assert content.index(b"moov") < content.index(b"mdat")  # plays while it loads
    told: dict[str, Any] = {}
    with av.open(io.BytesIO(content)) as container:
        assert container.metadata["major_brand"] in {"isom", "mp42"}
        told["seconds"] = (container.duration or 0) / av.time_base
        for stream in container.streams:
            told[stream.type] = stream.codec_context.name
        frames = list(container.decode(video=0))
        told["frames"], told["pixels"] = len(frames), frames[0].format.name
        told["first"] = frames[0].to_image().rotate(frames[0].rotation, expand=True)
    return told


@pytest.mark.parametrize(
    ("form", "codec", "audio"),
    [
        ("mov", "libx264", "aac"),
        ("matroska", "libx264", "aac"),
        ("mpegts", "libx264", "aac"),
        ("matroska", "libx264", "libopus"),
        ("webm", "libvpx", "libopus"),
        ("mp4", "libx265", "aac"),
        ("avi", "mpeg4", "mp3"),
        ("webm", "libvpx-vp9", None),
    ],
)
async def test_a_video_becomes_an_mp4(form: str, codec: str, audio: str | None) -> None:
    result, content = await converted("to_mp4", making.video(form, codec, audio=audio))
    told = streams(content)
    assert (told["video"], told.get("audio"), told["pixels"]) == ("h264", audio and "aac", "yuv420p")
    assert told["frames"] == pytest.approx(60, abs=1)
    assert told["seconds"] == pytest.approx(2, abs=0.15)
    assert is_red_then_blue(told["first"])
    assert (result.facts.mime_type, result.facts.width, result.facts.height) == ("video/mp4", 320, 240)
    assert result.facts.thumbnail is not None


async def test_an_mp4_that_whatsapp_shows_stays() -> None:
    result, _ = await converted("to_mp4", making.video(audio="aac"))
    assert result.file is None
    assert result.facts.seconds == pytest.approx(2, abs=0.1)


async def test_a_fragmented_mp4_is_put_together() -> None:
    _, content = await converted("to_mp4", making.video(options={"movflags": "frag_keyframe+empty_moov"}))
    assert streams(content)["frames"] == 60
    assert b"moof" not in content


async def test_a_gif_has_no_sound() -> None:
    result, content = await converted("to_mp4", making.video(audio="aac"), sound=False)
    assert result.file is not None
    assert "audio" not in streams(content)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
async def test_an_animated_image_becomes_an_mp4(form: str) -> None:
    result, content = await converted("to_mp4", making.moving(form, size=(101, 61)), sound=False)
    told = streams(content)
    assert told["frames"] == 10
    assert told["seconds"] == pytest.approx(1, abs=0.01)  # the last picture lasts as long as the others
    assert (result.facts.width, result.facts.height) == (100, 60)  # even numbers only


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
async def test_a_video_stays_turned(codec: str) -> None:
    result, content = await converted("to_mp4", making.video("mov", codec, rotation=90))
    assert (result.facts.width, result.facts.height) == (240, 320)
    assert streams(content)["first"].size == (240, 320)


async def test_a_large_video_gets_smaller() -> None:
    result, _ = await converted("to_mp4", making.video("avi", "mpeg4", size=(2560, 1440), seconds=0.2))
    assert (result.facts.width, result.facts.height) == (1920, 1080)


@pytest.mark.parametrize("content", [making.picture("PNG"), making.sound("ipod", "aac")])
async def test_what_does_not_move_is_no_video(content: bytes) -> None:
    with pytest.raises(InvalidMedia) as refused:
        await converted("to_mp4", content)
    assert refused.value.fault in {MediaFault.NO_VIDEO, MediaFault.UNKNOWN_FORMAT}
