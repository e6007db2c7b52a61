"""The steps that many tests share: a linked bot, a text seen at its other end."""

from __future__ import annotations

from typing import Any

from tests.harness.daemon import Daemon
from tests.harness.sandbox import Phone, Sandbox

BOT_NUMBER = "4915100000001"
CONTACT_NUMBER = "4915100000002"


async def linked_bot(daemon: Daemon, sandbox: Sandbox, bot: str = "shop", number: str = BOT_NUMBER) -> Phone:
    """Create a bot and link it to a new virtual phone by QR; returns the phone."""
    phone = await sandbox.phone(number)
    await daemon.add_bot(bot)
    await phone.scan(await daemon.qr(bot))
    await daemon.until_state(bot, "connected")
    return phone


async def arrived(phone: Phone, text: str, within: float = 30) -> dict[str, Any]:
    """The inbox entry with this text, as soon as the phone has it."""
    after = 0
    while True:
        page = await phone.call("GET", "/inbox", after=after, wait=within)
        assert page["messages"], f"{text!r} did not arrive within {within} s"
        for entry in page["messages"]:
            if entry.get("text") == text:
                return dict(entry)
        after = page["next"]
