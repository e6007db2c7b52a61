"""Switches on what whatsmeow has off by default and neonize cannot reach: one byte each in the memory of a client.

`EnableDecryptedEventBuffer`: a Signal message can be decrypted once, as its key is used up, and that is committed to
the auth database before anybody hears of the message. A process that dies between the two gets the message again, as it
is not acknowledged, but the engine then drops it ("received message with old counter") and acknowledges it. With the
flag the plaintext is committed together with the used key, in the same (sealed) auth database, and removed after the
handlers have returned.

`UseRetryMessageStore`: a recipient who cannot decrypt a message asks for it again. The engine remembers the last 256 in
memory, so after a restart such a recipient never gets it. With the flag each message sent is kept in the (sealed) auth
database too; the engine deletes what is older than 7 days whenever a message is sent.

`ManualHistorySyncDownload`: the engine downloads the account's history, throws it away and deletes it from the server
as soon as the phone offers it. With the flag it leaves it there.

Before anything is written, what lies there is compared with what a client of this build holds (`builds.ClientLayout`).
Sources: whatsmeow, client.go (`Client`), message.go (`bufferedDecrypt`, `handleProtocolMessage`), retry.go.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection

from zapwire.transport.whatsapp_web.engine.private.client_table import ClientTable


class NotAsExpected(Exception):
    """What lies in memory is not what this build is known to hold; nothing was written."""


def switch_on(table: ClientTable, bot: bytes, flags: Collection[str]) -> None:
    """Switch *flags* on for the client of *bot*, all of them or none. Raises `NotAsExpected`.

    Only on a thread of the engine that works for this client, which it cannot outlive there.
    """
    client = _client(table, bot)
    _compare(table, client)
    for flag in flags:
        _byte(client + table.build.client.flags[flag]).value = 1


def switched_on(table: ClientTable, bot: bytes) -> set[str]:
    """The flags that are on. Raises `NotAsExpected`."""
    client = _client(table, bot)
    return {name for name, offset in table.build.client.flags.items() if _byte(client + offset).value == 1}


def _client(table: ClientTable, bot: bytes) -> int:
    client = table.client(bot)
    if client is None:
        message = "the client is not in the table"
        raise NotAsExpected(message)
    return client


def _compare(table: ClientTable, client: int) -> None:
    layout = table.build.client
    for offset, allowed in layout.bytes.items():
        if (found := _byte(client + offset).value) not in allowed:
            message = f"the byte at {offset:#x} is {found}"
            raise NotAsExpected(message)
    words = {_word(client + offset) for offset in layout.equal_words}
    if len(words) > 1 or 0 in words:
        message = "the words that are to be equal are not"
        raise NotAsExpected(message)
    for offset in layout.zero_words:
        if _word(client + offset) != 0:
            message = f"the word at {offset:#x} is not 0"
            raise NotAsExpected(message)


def _byte(address: int) -> ctypes.c_uint8:
    return ctypes.c_uint8.from_address(address)


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value
