"""Lets the engine keep what it has decrypted until it has told it.

A Signal message can be decrypted once: the key is used up, and that is committed to the auth database before anybody
hears of the message. A process that dies between the two gets the message again, as it is not acknowledged, but the
engine then drops it ("received message with old counter") and acknowledges it. whatsmeow has a remedy, off by default
and out of neonize's reach: `Client.EnableDecryptedEventBuffer` commits the plaintext together with the used key, in the
same (sealed) auth database, and removes it after its handlers have returned. Here that flag is set from outside, one
byte in the client's memory. Where it lies was found by disassembling this one build (`bufferedDecrypt` tests it, as
`backgroundIfAsyncAck` tests `SynchronousAck` right before it); `ClientTable` knows no other.

Sources: whatsmeow, client.go (`Client`) and message.go (`bufferedDecrypt`); Go 1.26, internal/runtime/maps/map.go
(`Map`), table.go (`table`), group.go (`groupReference`).
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from typing import Final

from zapwire.transport.whatsapp_web.client_table import ClientTable

log = logging.getLogger(__name__)

FLAG: Final = 0xA9
"""Offset of `EnableDecryptedEventBuffer` in a `whatsmeow.Client`."""

_SLOTS: Final = 8
_SLOT: Final = 24
"""A Go string (pointer, length) and a pointer to the client."""
_GROUP: Final = 8 + _SLOTS * _SLOT
"""A group begins with one control byte for each slot; the highest bit says that it is empty or deleted."""
_FREE: Final = 0x80
_TRIES: Final = 50


def enable(table: ClientTable | None, bot: bytes) -> bool:
    """Switch the buffer on for the client of *bot*, which is in the table; False when it cannot be found."""
    if table is None:
        return False
    for _ in range(_TRIES):  # a start or a stop may be changing the table right now, for some 100 ns
        header = table.settled_header()
        client = _find(header, bot) if header is not None else None
        if client is not None and table.settled_header() == header:
            ctypes.c_uint8.from_address(client + FLAG).value = 1
            return True
    return False


def is_enabled(table: ClientTable, bot: bytes) -> bool:
    """Is it switched on?"""
    header = table.settled_header()
    client = _find(header, bot) if header is not None else None
    return client is not None and ctypes.c_uint8.from_address(client + FLAG).value == 1


def _find(header: int, bot: bytes) -> int | None:
    for group in _groups(header):
        content = ctypes.string_at(group, _GROUP)
        for slot in range(_SLOTS):
            if content[slot] & _FREE:
                continue
            place = 8 + slot * _SLOT
            text, length, client = (int.from_bytes(content[place + i : place + i + 8], "little") for i in (0, 8, 16))
            if length == len(bot) and ctypes.string_at(text, length) == bot:
                return client
    return None


def _groups(header: int) -> Iterator[int]:
    """The groups of a map: one when it is small, else those of the tables in its directory."""
    directory, count = _word(header + 16), _word(header + 24)
    if count == 0:
        yield directory
        return
    for table in dict.fromkeys(_word(directory + 8 * number) for number in range(count)):
        first, mask = _word(table + 16), _word(table + 24)
        yield from range(first, first + (mask + 1) * _GROUP, _GROUP)


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value
