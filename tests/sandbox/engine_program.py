"""Bare neonize with one client, driven by `tests.sandbox.engine`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tests.harness.engine_side import answer, jobs, run

# isort: split
from neonize.aioze import events
from neonize.aioze.client import NewAClient
from neonize.exc import SendPresenceError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from neonize.utils import build_jid
from neonize.utils.enum import ChatPresence, ChatPresenceMedia, MediaType, Presence


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
    on(events.TemporaryBanEv, "banned", lambda e: {"code": int(e.Code), "seconds": int(e.Expire)})
    on(events.ClientOutdatedEv, "outdated")
    on(events.ConnectFailureEv, "failure", lambda e: {"reason": int(e.Reason)})
    on(events.StreamReplacedEv, "replaced")
    on(events.StreamErrorEv, "stream error", lambda e: {"code": e.Code})
    on(events.HistorySyncEv, "history")
    on(events.DisconnectedEv, "disconnected")
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
    async for job in jobs():
        try:
            answer(job=job["job"], result=await work(client, job))
        except Exception as error:  # noqa: BLE001 -- told to the test
            answer(job=job["job"], error=repr(error))


if __name__ == "__main__":
    run(serve(sys.argv[1]), threads=32)
