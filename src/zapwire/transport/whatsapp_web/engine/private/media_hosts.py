"""Where files are uploaded to, and with which right: what the engine was told, read from the memory of a client.

The engine's own upload takes the whole file several times in memory, and no export says what is needed for another one.
Only read; what is found is checked before it is believed. Source: whatsmeow's mediaconn.go (`MediaConn`).
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from typing import Final

from zapwire.transport.whatsapp_web.engine.private.client_table import ClientTable

_HOSTS: Final = 0x40
_MOST_HOSTS: Final = 64
_LONGEST: Final = 4096
_HOST: Final = re.compile(r"[a-z0-9.-]{1,250}\.whatsapp\.(net|com)")
_AUTH: Final = re.compile(r"[!-~]{1,4096}")


@dataclass(frozen=True, slots=True)
class MediaHosts:
    """The hosts, the best one first, and the right to upload."""

    hosts: tuple[str, ...]
    auth: str = field(repr=False)


def read(table: ClientTable, bot: bytes) -> MediaHosts | None:
    """What the client of *bot* was told last; None when it has not asked yet, or what lies there is something else.

    Only on a thread of the engine that works for this client, which it cannot outlive there.
    """
    client = table.client(bot)
    known = 0 if client is None else _word(client + table.build.client.media)
    if not known:
        return None
    auth = _text(known)
    first, count = _word(known + _HOSTS), _word(known + _HOSTS + 8)
    if auth is None or _AUTH.fullmatch(auth) is None or not 0 < count <= _MOST_HOSTS:
        return None
    hosts = [host for number in range(count) if (host := _text(first + 16 * number)) and _HOST.fullmatch(host)]
    return MediaHosts(tuple(hosts), auth) if hosts else None


def _text(place: int) -> str | None:
    """The string of Go (pointer, length) at *place*."""
    start, length = _word(place), _word(place + 8)
    if not start or not 0 < length <= _LONGEST:
        return None
    try:
        return ctypes.string_at(start, length).decode("ascii")
    except UnicodeDecodeError:
        return None


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value
