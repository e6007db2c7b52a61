"""Finding a client in a Go map, small or large, as it lies in memory."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pytest

from zapwire.transport.whatsapp_web import event_buffer
from zapwire.transport.whatsapp_web.client_table import ClientTable


class Memory:
    """Builds what the engine would have; keeps it alive."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self.clients: dict[str, Any] = {}

    def put(self, content: bytes) -> int:
        buffer = ctypes.create_string_buffer(content, len(content))
        self._kept.append(buffer)
        return ctypes.addressof(buffer)

    def group(self, *names: str) -> bytes:
        """One group: the first slot is deleted, then these, then empty ones."""
        control, slots = bytearray([0xFE] + [0x80] * 7), [struct.pack("<QQQ", 1, 5, 1)] + [bytes(24)] * 7
        for place, name in enumerate(names, 1):
            client = ctypes.create_string_buffer(0x200)
            self.clients[name] = client
            control[place] = 0x11
            slots[place] = struct.pack("<QQQ", self.put(name.encode()), len(name), ctypes.addressof(client))
        return bytes(control) + b"".join(slots)

    def table(self, directory: int, count: int, writing: int = 0) -> ClientTable:
        header = self.put(struct.pack("<QQQQBBBB", 3, 0, directory, count, 0, 0, writing, 0))
        return ClientTable(self.put(struct.pack("<Q", header)))

    def large(self, *tables: list[bytes]) -> ClientTable:
        addresses = []
        for groups in tables:
            first = self.put(b"".join(groups))
            addresses.append(self.put(struct.pack("<HHHBxQQQ", 3, 16, 1, 0, 0, first, len(groups) - 1)))
        directory = [address for address in addresses for _ in range(2)]  # several entries lead to one table
        return self.table(self.put(struct.pack(f"<{len(directory)}Q", *directory)), len(directory))


def switched_on(memory: Memory) -> set[str]:
    return {name for name, client in memory.clients.items() if client.raw[event_buffer.FLAG] == 1}


@pytest.mark.parametrize("large", [False, True])
def test_the_flag_of_that_client_and_nothing_else_is_set(large: bool):
    memory = Memory()
    if large:
        groups = [[memory.group("a"), memory.group("bots")], [memory.group("bot"), memory.group("b")]]
        table = memory.large(*groups)
    else:
        table = memory.table(memory.put(memory.group("a", "bots", "bot")), 0)
    assert event_buffer.enable(table, b"bot")
    assert switched_on(memory) == {"bot"}
    assert sum(client.raw.count(1) for client in memory.clients.values()) == 1
    assert event_buffer.is_enabled(table, b"bot")
    assert not event_buffer.is_enabled(table, b"bots")
    assert not event_buffer.enable(table, b"nobody")


def test_an_unknown_engine_and_a_table_that_is_being_changed_are_left_alone():
    memory = Memory()
    assert not event_buffer.enable(None, b"bot")
    assert not event_buffer.enable(memory.table(memory.put(memory.group("bot")), 0, writing=1), b"bot")
    assert switched_on(memory) == set()
