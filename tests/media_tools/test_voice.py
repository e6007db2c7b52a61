"""Sounds as voice notes, decoded again."""

from __future__ import annotations

import io
from itertools import pairwise

import av
import pytest
from av.audio.resampler import AudioResampler

from tests.media_tools import making
from zapwire.media_tools.facts import VoiceNote
from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.tools import MediaTools


async def converted(content: bytes) -> tuple[VoiceNote, bytes]:
    with making.given(content) as descriptor:
        note = await MediaTools().to_voice(descriptor)
    with note.file:
        return note, note.file.read()


def samples(note: bytes) -> list[int]:
    """Of what a phone plays; checks the format on the way."""
    with av.open(io.BytesIO(note)) as container:
        assert container.format.name == "ogg"
        (stream,) = container.streams
        assert stream.codec_context.name == "opus"
        assert isinstance(stream, av.AudioStream)
        assert (stream.codec_context.channels, stream.codec_context.sample_rate) == (1, 48_000)
        resampler, played = AudioResampler(format="s16", layout="mono", rate=8000), []
        for frame in container.decode(stream):
            for piece in resampler.resample(frame):
                played += memoryview(piece.planes[0]).cast("B").cast("h")[: piece.samples].tolist()
    return played


def loudness(part: list[int]) -> float:
    return sum(map(abs, part)) / max(1, len(part))


@pytest.mark.parametrize(
    ("form", "codec", "layout", "rate"),
    [
        ("wav", "pcm_s16le", "stereo", 44_100),
        ("wav", "pcm_s16le", "mono", 8_000),
        ("mp3", "mp3", "stereo", 48_000),
        ("adts", "aac", "stereo", 48_000),
        ("ipod", "aac", "mono", 48_000),
        ("flac", "flac", "stereo", 48_000),
        ("ogg", "libopus", "stereo", 48_000),
        ("amr", "libopencore_amrnb", "mono", 8_000),
    ],
)
async def test_any_sound_becomes_a_voice_note(form: str, codec: str, layout: str, rate: int) -> None:
    note, content = await converted(making.sound(form, codec, layout=layout, rate=rate))
    played = samples(content)
    assert note.seconds == pytest.approx(3, abs=0.15)
    assert len(played) / 8000 == pytest.approx(note.seconds, abs=0.1)
    assert loudness(played[-8000:]) > 3 * loudness(played[:8000])
    assert note.mime_type == "audio/ogg; codecs=opus"


async def test_the_waveform_shows_how_loud_it_is() -> None:
    note, _ = await converted(making.sound("wav", "pcm_s16le"))
    assert len(note.waveform) == 64
    assert note.waveform[0] < 5
    assert max(note.waveform) == 100
    assert all(later >= earlier - 2 for earlier, later in pairwise(note.waveform))


async def test_silence_has_a_flat_waveform() -> None:
    note, _ = await converted(making.sound("wav", "pcm_s16le", loudest=0))
    assert note.waveform == bytes(64)


async def test_a_sound_shorter_than_its_waveform() -> None:
    note, content = await converted(making.sound("wav", "pcm_s16le", 0.1))
    assert note.seconds == pytest.approx(0.1, abs=0.02)
    assert len(note.waveform) == 64
    assert samples(content)


async def test_the_sound_of_a_video() -> None:
    note, content = await converted(making.video(audio="aac"))
    assert note.seconds == pytest.approx(2, abs=0.1)
    assert loudness(samples(content)) > 1000


@pytest.mark.parametrize("form", ["ogg", "webm"])
async def test_what_is_opus_in_mono_is_not_encoded_again(form: str) -> None:
    given = making.sound(form, "libopus", layout="mono")
    note, content = await converted(given)
    assert packets(content) == packets(given)
    assert note.seconds == pytest.approx(3, abs=0.1)
    assert max(note.waveform) == 100
    assert samples(content)


def packets(content: bytes) -> list[bytes]:
    with av.open(io.BytesIO(content)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (making.video(), MediaFault.NO_AUDIO),
        (making.picture("PNG"), MediaFault.UNKNOWN_FORMAT),
        (b"", MediaFault.EMPTY),
        (b"\0" * 5000, MediaFault.UNKNOWN_FORMAT),
        (making.sound("ipod", "aac")[:-2000], MediaFault.DAMAGED),
    ],
)
async def test_what_has_no_sound_is_refused(content: bytes, fault: MediaFault) -> None:
    with pytest.raises(InvalidMedia) as refused:
        await converted(content)
    assert refused.value.fault is fault
