"""The transport's driver, which dies by SIGKILL in the middle of storing a device.

KILL_AT is `put:N` (at the N-th operation on files in `AuthFile.put`), `before-sign` or `after-sign`; how many there
were in a put that went through is written to the file KILL_COUNT.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from tests.transport import driver
from zapwire.transport.whatsapp_web.auth.plain import PlainAuthFile
from zapwire.transport.whatsapp_web.auth.sealed import SealedAuthFile
from zapwire.transport.whatsapp_web.network.server_override import ensure_environment
from zapwire.transport.whatsapp_web.pairing.own.conversation import Conversation
from zapwire.wire.node import Node

_WHERE, _, _NUMBER = os.environ["KILL_AT"].partition(":")
_OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.link"}


class Counter:
    def __init__(self) -> None:
        self.counting, self.seen = False, 0

    def __call__(self, event: str, _arguments: Any) -> None:
        if self.counting and event in _OPERATIONS:
            self.seen += 1
            if self.seen == int(_NUMBER or 0):
                die()


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def arm() -> None:
    counter = Counter()
    sys.addaudithook(counter)

    for kind in (PlainAuthFile, SealedAuthFile):
        put = kind.put

        async def counted(file: Any, copy: bytes, put: Any = put) -> None:
            counter.counting = _WHERE == "put"
            await put(file, copy)
            counter.counting = False
            Path(os.environ["KILL_COUNT"]).write_text(str(counter.seen))

        kind.put = counted  # type: ignore[method-assign]

    send = Conversation.send

    async def sent(talk: Conversation, node: Node) -> None:
        signs = node.child("pair-device-sign") is not None
        if signs and _WHERE == "before-sign":
            die()
        await send(talk, node)
        if signs and _WHERE == "after-sign":
            await asyncio.sleep(0.3)  # what was written goes out
            die()

    Conversation.send = sent  # type: ignore[method-assign]


if __name__ == "__main__":
    ensure_environment(Path(sys.argv[1]))
    arm()
    asyncio.run(driver.main(Path(sys.argv[1]), Path(sys.argv[2])))
