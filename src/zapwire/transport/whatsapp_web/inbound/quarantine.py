"""What our own code cannot deal with: the raw event is put aside, told in the log and as an event, and passed by.

An internal error that one message triggers must neither lose that message nor hold up those behind it.
"""

from __future__ import annotations

import logging
import traceback

from zapwire.model.bots import BotId, Identity
from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport.protocol import Withheld
from zapwire.transport.whatsapp_web.inbound.decode import broken
from zapwire.transport.whatsapp_web.inbound.spool import Spool

log = logging.getLogger(__name__)


async def keep(spool: Spool | None, bot: BotId, code: int, data: bytes, fault: Exception) -> None:
    """Put a raw event aside, which caused *fault*."""
    try:
        name = None if spool is None else await in_file_thread(spool.put_aside, code, data)
    except OSError as error:
        log.error("bot %s: an event that cannot be dealt with cannot be put aside either: %s", bot, error)  # noqa: TRY400
        name = None
    where = "is lost" if name is None else f"is put aside as {name}"
    # Without the exception's own words, which may hold what the message says.
    steps = "".join(traceback.format_tb(fault.__traceback__))
    log.critical(
        "bot %s: internal error (%s) on an event of WhatsApp (code %d), which %s\n%s",
        *(bot, type(fault).__name__, code, where, steps),
    )


async def put_aside(
    spool: Spool | None, bot: BotId, raw: tuple[int, bytes], own: Identity, fault: Exception
) -> Withheld | None:
    """`keep`, and what is told of the message that was in it, if there was one."""
    await keep(spool, bot, *raw, fault)
    message = broken(*raw, own)
    return None if message is None else Withheld(message)
