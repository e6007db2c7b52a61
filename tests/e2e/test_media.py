"""Files both ways, through the real engine, the daemon's own transfer and the sandbox's media hosts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from PIL import Image

from tests.e2e.test_kinds import Talk, talk
from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox
from tests.media_tools import making
from zapwire.transport.whatsapp_web.engine.protos import e2e

__all__ = ["talk"]
MESSAGES = "/v1/bots/shop/messages"
LOOPBACK = {"ZAPWIRE_MEDIA_ALLOW_NETWORKS": "127.0.0.0/8"}


def png(size: tuple[int, int] = (320, 200), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(out, kind)
    return out.getvalue()


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """The address of *app* on a server of its own."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


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
    for beyond in (f"bytes={len(sent)}-", "bytes=-0"):
        assert (await got(talk, content["media"], Range=beyond))[0] == 416
    assert talk.daemon._http is not None
    async with talk.daemon._http.head(f"/v1/media/{content['media']}") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(sent)))
    form = aiohttp.FormData({"note": "x" * (1 << 20)})
    form.add_field("other", "y")
    form.add_field("file", b"late", filename="late.bin")
    async with talk.daemon._http.post("/v1/bots/shop/media", data=form) as answer:
        assert (answer.status, (await answer.json())["field"]) == (422, "file")
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


async def test_what_came_in_is_forwarded_without_an_upload(talk: Talk) -> None:
    picture = png()
    came = await talk.receive(media={"kind": "image", "data": base64.b64encode(picture).decode(), "caption": "look"})
    text = await talk.receive(text="and read")
    third = await talk.sandbox.phone("4915100000003", "Bea")
    chat = f"+{CONTACT_NUMBER}"

    async def forward(message: str, **body: Any) -> Any:
        path = f"{MESSAGES}/{message}/forward"
        answer = await talk.daemon.call("POST", path, {"to": f"+{third.number}", **body})
        done = await talk.daemon.call("GET", f"{MESSAGES}/{answer['id']}", wait=30)
        return done, await third.message(done["whatsapp_id"])

    answer, got = await forward(came["id"], chat=chat)
    assert (got.imageMessage.caption, got.imageMessage.contextInfo.isForwarded) == ("look", True)
    assert answer["content"]["forwarded"] is True
    file = await talk.sandbox.raw(f"/phones/{third.number}/messages/{answer['whatsapp_id']}/file")
    assert file == picture
    theirs = (await talk.contact.message(came["id"])).imageMessage
    assert (got.imageMessage.directPath, got.imageMessage.mediaKey) == (theirs.directPath, theirs.mediaKey)
    _, got = await forward(answer["id"])
    assert got.imageMessage.directPath == theirs.directPath
    _, got = await forward(text["id"], chat=chat)
    assert (got.extendedTextMessage.text, got.extendedTextMessage.contextInfo.isForwarded) == ("and read", True)
    for message, body, field in (
        (text["id"], {}, "chat"),
        ("msg_none", {}, "message"),
        ("NONE", {"chat": chat}, "message"),
    ):
        status, problem = await talk.daemon.ask("POST", f"{MESSAGES}/{message}/forward", {"to": chat, **body})
        assert (status in {404, 422}, problem["field"]) == (True, field)


async def test_one_key_is_one_message_also_with_a_file(talk: Talk) -> None:
    body = {"to": f"+{CONTACT_NUMBER}", "type": "image", "media": {"base64": base64.b64encode(png()).decode()}}
    found = [await talk.daemon.ask("POST", MESSAGES, body, once="k") for _ in range(2)]
    assert [status for status, _ in found] == [202, 202]
    assert found[0][1]["id"] == found[1][1]["id"]


async def test_a_file_is_fetched_from_an_address(tmp_path: Path, sandbox: Sandbox) -> None:
    data = png()

    async def serve(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/there":
                raise web.HTTPFound("/x/shop.png")
            case "/round":
                raise web.HTTPFound("/round")
            case "/inside":
                raise web.HTTPFound("http://10.0.0.1/x")
            case "/lies":
                answer = web.StreamResponse(headers={"Content-Length": "100"})
                await answer.prepare(request)
                await answer.write(b"short")
                assert request.transport is not None
                request.transport.close()
                return answer
            case "/x/shop.png":
                return web.Response(body=data)
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    (folder := tmp_path / "fetching").mkdir()
    async with served(app) as base, Daemon(folder, sandbox.descriptor_file, **LOOPBACK) as daemon:
        own = await linked_bot(daemon, sandbox)
        contact = await sandbox.phone(CONTACT_NUMBER)
        async with daemon.events("message.*") as events:
            talk = Talk(daemon, sandbox, own, contact, events)
            answer, message = await talk.send(type="document", media={"url": f"{base}/there"})
            assert message.documentMessage.fileName == "there"
            assert await file_at_phone(talk, answer["whatsapp_id"]) == data
            for path in ("/round", "/inside", "/lies", "/nothing"):
                problem = await talk.refused(422, type="document", media={"url": base + path})
                assert problem["field"] == "media.url", problem


async def test_what_whatsapp_has_no_longer_is_gone(talk: Talk) -> None:
    part = e2e.DocumentMessage(
        mimetype="text/html", fileName='a"b\r\n.html', fileLength=5, directPath="/v/t62.7118-24/none?ccb=1",
        mediaKey=bytes(32), fileEncSHA256=bytes(32), fileSHA256=bytes(32),
    )  # fmt: skip
    told = await talk.receive_raw(e2e.Message(documentMessage=part))
    status, _, body = await got(talk, told["content"]["media"])
    assert (status, json.loads(body)["code"]) == (410, "media-expired")
    for bad in ({"directPath": "//evil.example/x"}, {"directPath": "/x\r\nHost: evil"}, {"directPath": "http://evil/"}):
        told = await talk.receive_raw(e2e.Message(documentMessage={**{f.name: v for f, v in part.ListFields()}, **bad}))
        assert (await got(talk, told["content"]["media"]))[0] == 410
    for short in ({"mediaKey": b"x"}, {"fileSHA256": b""}):
        told = await talk.receive_raw(
            e2e.Message(documentMessage={**{f.name: v for f, v in part.ListFields()}, **short})
        )
        assert "media" not in told["content"]


async def test_a_file_that_is_not_what_the_message_says_is_refused(talk: Talk) -> None:
    theirs = await talk.contact.say(
        BOT_NUMBER, media={"kind": "document", "data": base64.b64encode(b"x" * 999).decode()}
    )
    raw = await talk.contact.message(theirs)
    for lie in ({"fileSHA256": bytes(32)}, {"mediaKey": bytes(32)}, {"fileLength": 998}, {"fileLength": 5000}):
        fields = {field.name: value for field, value in raw.documentMessage.ListFields()}
        told = await talk.receive_raw(e2e.Message(documentMessage={**fields, **lie}))
        status, _, body = await got(talk, told["content"]["media"])
        assert (status, json.loads(body)["code"]) == (502, "media-damaged")
    assert not [*(talk.daemon.folder / "sessions" / "media").iterdir()], "nothing is left of them"


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


async def test_each_kind_of_file_goes_out_as_what_it_is(talk: Talk) -> None:
    """Compared field by field, and the file as the phone gets it by its hash."""
    clip, tune = making.video("mp4"), making.sound("mp3", "libmp3lame", 2)
    for kind, data, part, wanted in (
        ("image", png(kind="JPEG"), "imageMessage", {"width": 320, "height": 200, "caption": "look"}),
        ("video", clip, "videoMessage", {"gifPlayback": False, "caption": "look"}),
        ("gif", clip, "videoMessage", {"gifPlayback": True, "caption": "look"}),
        ("video_note", clip, "ptvMessage", {}),
        ("audio", tune, "audioMessage", {"PTT": False, "seconds": 2}),
        ("document", making.pdf(3), "documentMessage", {"pageCount": 3, "fileName": "file"}),
    ):
        body = {"caption": "look"} if "caption" in wanted else {}
        answer, message = await talk.send(type=kind, media={"base64": base64.b64encode(data).decode()}, **body)
        found = getattr(message, part)
        assert {name: getattr(found, name) for name in wanted} == wanted, kind
        at_phone = await file_at_phone(talk, answer["whatsapp_id"]) if kind != "video_note" else None
        content = answer["content"]
        assert found.fileLength == content["size"]
        assert found.fileSHA256.hex() == content["sha256"]
        assert at_phone is None or hashlib.sha256(at_phone).hexdigest() == content["sha256"], kind
        if kind not in {"audio", "document"}:
            assert Image.open(io.BytesIO(found.JPEGThumbnail)).format == "JPEG"


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


PAGE = """<html><head><meta property="og:title" content="Our shop"><meta property="og:description" content="All of it">
<meta property="og:image" content="/image.png"></head>"""


async def test_a_link_is_shown_with_what_its_page_says(tmp_path: Path, sandbox: Sandbox) -> None:
    """Whatever goes wrong with the page, the text goes out."""
    asked = list[str]()

    async def page(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/image.png":
            return web.Response(body=png(), content_type="image/png")
        if request.path == "/never":
            answer = web.StreamResponse(headers={"Content-Type": "text/html"})
            await answer.prepare(request)
            while True:
                await answer.write(b"<!-- -->" * 100)
                await asyncio.sleep(0.01)
        if request.path == "/inside":
            raise web.HTTPFound("http://[::1]:1/")
        kind = "application/pdf" if request.path == "/pdf" else "text/html"
        return web.Response(text=PAGE if request.path != "/empty" else "", content_type=kind)

    app = web.Application()
    app.router.add_get("/{any:.*}", page)
    (folder := tmp_path / "previews").mkdir()
    async with served(app) as base, Daemon(folder, sandbox.descriptor_file, **LOOPBACK) as daemon:
        own = await linked_bot(daemon, sandbox)
        contact = await sandbox.phone(CONTACT_NUMBER, "Ana")
        async with daemon.events("message.*") as events:
            talk = Talk(daemon, sandbox, own, contact, events)
            answer, got = await talk.send(text=f"look: {base}/shop.", preview=True)
            shown = got.extendedTextMessage
            assert (shown.matchedText, shown.title, shown.description) == (f"{base}/shop", "Our shop", "All of it")
            assert Image.open(io.BytesIO(shown.JPEGThumbnail)).format == "JPEG"
            assert answer["content"]["title"] == "Our shop"
            given = {"link": f"{base}/", "title": "Mine", "image": f"{base}/image.png"}
            _, got = await talk.send(text=f"{base}/", preview=given)
            assert (got.extendedTextMessage.title, bool(got.extendedTextMessage.JPEGThumbnail)) == ("Mine", True)
            for path in ("/pdf", "/empty", "/inside", "/never"):
                _, got = await talk.send(text=base + path, preview=True)
                assert (got.conversation, got.HasField("extendedTextMessage")) == (base + path, False), path
            problem = await talk.refused(422, text=f"{base}/", preview={"link": f"{base}/"})
            assert (problem["field"], problem["detail"]) == ("preview.title", "is required")
            count = len(asked)
            _, got = await talk.send(text=f"{base}/shop", preview=False)
            await talk.send(text="no link", preview=True)
            assert len(asked) == count
