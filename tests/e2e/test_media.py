"""Files both ways, through the real engine, the daemon's own transfer and the sandbox's media hosts."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import wave
from typing import Any

from PIL import Image

from tests.e2e.test_kinds import Talk, talk

__all__ = ["talk"]
MESSAGES = "/v1/bots/shop/messages"


def png(size: tuple[int, int] = (320, 200), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(out, kind)
    return out.getvalue()


async def put(talk: Talk, data: bytes, **query: str) -> dict[str, Any]:
    assert talk.daemon._http is not None
    async with talk.daemon._http.post("/v1/bots/shop/media", data=data, params=query) as answer:
        told = await answer.json()
        assert answer.status == 201, told
        return dict(told)


async def got(talk: Talk, media: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    assert talk.daemon._http is not None
    async with talk.daemon._http.get(f"/v1/media/{media}", headers=headers) as answer:
        return answer.status, dict(answer.headers), await answer.read()


async def file_at_phone(talk: Talk, message_id: str) -> bytes:
    return await talk.sandbox.raw(f"/phones/{talk.contact.number}/messages/{message_id}/file")


async def test_a_document_goes_out_and_a_picture_comes_in(talk: Talk) -> None:
    data = os.urandom(300_000)
    up = await put(talk, data, file_name="invoice.bin")
    assert (up["size"], up["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    body = {"type": "document", "media": {"id": up["id"]}, "caption": "here you are"}
    answer, message = await talk.send(**body)
    part = message.documentWithCaptionMessage.message.documentMessage
    assert (part.fileName, part.caption, part.fileLength) == ("invoice.bin", "here you are", len(data))
    assert await file_at_phone(talk, answer["whatsapp_id"]) == data

    sent = png()
    told = await talk.receive("message.received", media={
        "kind": "image", "data": base64.b64encode(sent).decode(), "mimetype": "image/png", "caption": "look"
    })  # fmt: skip
    content = told["content"]
    assert (told["type"], content["caption"], content["size"]) == ("image", "look", len(sent))
    status, headers, found = await got(talk, content["media"])
    assert (status, found) == (200, sent)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"].startswith("attachment;")
    status, headers, found = await got(talk, content["media"], Range="bytes=17-4000")
    assert (status, found) == (206, sent[17:4001])
    assert headers["Content-Range"] == f"bytes 17-4000/{len(sent)}"
    assert (await got(talk, content["media"], Range="bytes=-10"))[2] == sent[-10:]
    assert (await got(talk, content["media"], Range=f"bytes={len(sent)}-"))[0] == 416
    folder = talk.daemon.folder / "sessions" / "media"
    stored = b"".join(one.read_bytes() for one in folder.iterdir())
    assert sent[1000:1100] not in stored
    assert data[1000:1100] not in stored


async def test_a_second_send_uploads_nothing(talk: Talk) -> None:
    image = {"type": "image", "media": {"base64": base64.b64encode(png()).decode()}, "caption": "one"}
    answer, first = await talk.send(**image)
    assert first.imageMessage.width == 320
    assert first.imageMessage.JPEGThumbnail.startswith(b"\xff\xd8")
    again = {"type": "image", "media": {"id": answer["content"]["media"]}}
    _, second = await talk.send(**again)
    assert second.imageMessage.directPath == first.imageMessage.directPath
    assert second.imageMessage.mediaKey == first.imageMessage.mediaKey
    theirs = await talk.receive(media={"kind": "image", "data": base64.b64encode(png()).decode()})
    answer, message = await talk.send(type="image", media={"id": theirs["content"]["media"]})
    assert message.imageMessage.mimetype == "image/png"


async def test_voice_notes_and_stickers_are_converted(talk: Talk) -> None:
    sound = wav(2)
    _, message = await talk.send(type="voice", media={"base64": base64.b64encode(sound).decode()})
    note = message.audioMessage
    assert (note.PTT, note.mimetype, note.seconds, len(note.waveform)) == (True, "audio/ogg; codecs=opus", 2, 64)
    answer, message = await talk.send(type="sticker", media={"base64": base64.b64encode(png()).decode()})
    sticker = message.stickerMessage
    assert (sticker.mimetype, sticker.width, sticker.height) == ("image/webp", 512, 512)
    with Image.open(io.BytesIO(await file_at_phone(talk, answer["whatsapp_id"]))) as made:
        assert (made.format, made.size) == ("WEBP", (512, 512))


def wav(seconds: int) -> bytes:

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(os.urandom(32_000 * seconds))
    return out.getvalue()


async def test_what_is_wrong_with_a_file_is_said(talk: Talk) -> None:
    text = base64.b64encode(b"no picture at all").decode()
    for body, field in [
        ({"type": "image", "media": {"base64": text}}, "media"),
        ({"type": "image", "media": {}}, "media"),
        ({"type": "image", "media": {"base64": text, "id": "med_1"}}, "media"),
        ({"type": "document", "media": {"url": "http://127.0.0.1:1/x"}}, "media.url"),
        ({"type": "document", "media": {"url": "ftp://example.com/x"}}, "media.url"),
    ]:
        problem = await talk.refused(422, **body)
        assert problem["field"] == field, problem
    assert (await talk.refused(404, type="image", media={"id": "med_none"}))["field"] == "media.id"
    assert not [*(talk.daemon.folder / "sessions" / "media").iterdir()], "nothing half stored"
