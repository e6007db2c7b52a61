"""Bare neonize with one client, driven by `tests.sandbox.engine`."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# neonize's client imports python-magic, and a fresh machine has no libmagic
sys.modules.setdefault("magic", types.ModuleType("magic"))

from neonize.aioze import events  # noqa: E402 -- after the line above
from neonize.aioze.client import NewAClient  # noqa: E402
from neonize.exc import SendPresenceError  # noqa: E402
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message  # noqa: E402
from neonize.utils import build_jid  # noqa: E402
from neonize.utils.enum import ChatPresence, ChatPresenceMedia, MediaType, Presence  # noqa: E402

PINNED_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


def answer(**values: Any) -> None:
    os.write(int(os.environ["ENGINE_ANSWERS"]), json.dumps(values).encode() + b"\n")


def trust(root: bytes) -> None:
    """Make the engine accept the sandbox's Noise root."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if "neonize" in line and "rw" in fields[1]:
            low, high = (int(part, 16) for part in fields[0].split("-"))
            at = ctypes.string_at(low, high - low).find(PINNED_ROOT)
            if at >= 0:
                ctypes.memmove(low + at, root, 32)


def jid(value: Any) -> str:
    return f"{value.User}@{value.Server}"


def make_client(database: str) -> Any:
    client = NewAClient(database, uuid="client")

    async def message(_: Any, event: Any) -> None:
        info, content = event.Info, event.Message
        text = content.conversation or content.extendedTextMessage.text or content.imageMessage.caption
        answer(
            message=text or content.reactionMessage.text,
            id=info.ID,
            chat=jid(info.MessageSource.Chat),
            sender=jid(info.MessageSource.Sender),
            sender_alt=jid(info.MessageSource.SenderAlt),
            from_me=info.MessageSource.IsFromMe,
            name=info.Pushname,
            raw=content.SerializeToString().hex(),
        )

    def on(kind: Any, name: str, values: Callable[[Any], dict[str, Any]] = lambda _: {}) -> None:
        async def handler(_: Any, event: Any) -> None:
            answer(event=name, **values(event))

        client.event(kind)(handler)

    client.event(events.MessageEv)(message)
    on(events.ConnectedEv, "connected")
    on(events.LoggedOutEv, "logged out")
    on(events.ReceiptEv, "receipt", lambda e: {"type": int(e.Type), "ids": list(e.MessageIDs)})
    on(events.ChatPresenceEv, "typing", lambda e: {"state": int(e.State)})

    async def shown(_: Any, code: bytes) -> None:
        answer(qr=code.decode())

    client.qr(shown)
    return client


async def work(client: Any, job: dict[str, Any]) -> Any:
    match job["do"]:
        case "connect":
            await client.connect()
        case "send":
            server = job.get("server", "s.whatsapp.net")
            return (await client.send_message(build_jid(job["to"], server), job["text"])).ID
        case "code":
            return await client.PairPhone(job["phone"], show_push_notification=False)
        case "download":
            return (await client.download_any(Message.FromString(bytes.fromhex(job["raw"])))).hex()
        case "image":
            data = bytes.fromhex(job["data"])
            up = await client.upload(data, MediaType.MediaImage)
            message = Message()
            part = message.imageMessage
            part.URL, part.directPath, part.mediaKey = up.url, up.DirectPath, up.MediaKey
            part.fileSHA256, part.fileEncSHA256, part.fileLength = up.FileSHA256, up.FileEncSHA256, up.FileLength
            part.mimetype, part.caption = "image/jpeg", job["caption"]
            return (await client.send_message(build_jid(job["to"]), message)).ID
        case "typing":
            await until_named(client)
            await client.send_chat_presence(
                build_jid(job["to"]),
                ChatPresence.CHAT_PRESENCE_COMPOSING,
                ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT,
            )
    return None


async def until_named(client: Any) -> None:
    """Come online; possible once the engine has fetched its push name, which it tells nobody."""
    for _ in range(100):
        try:
            return await client.send_presence(Presence.AVAILABLE)
        except SendPresenceError:
            await asyncio.sleep(0.05)
    raise TimeoutError("the engine has no push name")


async def serve(database: str) -> None:
    client = make_client(database)
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        job = json.loads(line)
        try:
            answer(job=job["job"], result=await work(client, job))
        except Exception as error:  # noqa: BLE001 -- told to the test
            answer(job=job["job"], error=repr(error))


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(32))
        trust(bytes.fromhex(os.environ["ENGINE_ROOT"]))
        runner.run(serve(sys.argv[1]))
