"""Finding a client in a Go map, small or large, as it lies in memory, and switching on its flags."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import replace
from typing import Any

import pytest

from zapwire.transport.whatsapp_web.engine.private import builds, media_hosts
from zapwire.transport.whatsapp_web.engine.private.client_flags import (
    NotAsExpected,
    switch_on,
    switched_on,
)
from zapwire.transport.whatsapp_web.engine.private.client_table import ClientTable
from zapwire.transport.whatsapp_web.engine.private.media_hosts import MediaHosts

LOGGER = 0x7F00_0000_1000
FLAGS = {"first": 0x31, "second": 0x60}
BUILD = replace(
    builds.KNOWN[0],
    clients=0,
    client=builds.ClientLayout(
        flags=FLAGS,
        bytes={0x30: frozenset({0}), 0x31: frozenset({0, 1}), 0x60: frozenset({0, 1}), 0x61: frozenset({1})},
        equal_words=(0x08, 0x18),
        zero_words=(0x40,),
        media=0x50,
    ),
)


def client_memory() -> bytearray:
    memory = bytearray(0x80)
    struct.pack_into("<Q8xQ", memory, 0x08, LOGGER, LOGGER)
    memory[0x61] = 1
    return memory


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
            client = ctypes.create_string_buffer(bytes(client_memory()), 0x80)
            self.clients[name] = client
            control[place] = 0x11
            slots[place] = struct.pack("<QQQ", self.put(name.encode()), len(name), ctypes.addressof(client))
        return bytes(control) + b"".join(slots)

    def table(self, directory: int, count: int, writing: int = 0) -> ClientTable:
        header = self.put(struct.pack("<QQQQBBBB", 3, 0, directory, count, 0, 0, writing, 0))
        return ClientTable(BUILD, self.put(struct.pack("<Q", header)))

    def large(self, *tables: list[bytes]) -> ClientTable:
        addresses = []
        for groups in tables:
            first = self.put(b"".join(groups))
            addresses.append(self.put(struct.pack("<HHHBxQQQ", 3, 16, 1, 0, 0, first, len(groups) - 1)))
        directory = [address for address in addresses for _ in range(2)]  # several entries lead to one table
        return self.table(self.put(struct.pack(f"<{len(directory)}Q", *directory)), len(directory))

    def one(self, content: bytearray) -> ClientTable:
        """A table with the client of "bot", which holds that."""
        table = self.table(self.put(self.group("bot")), 0)
        self.clients["bot"].raw = bytes(content)
        return table


@pytest.mark.parametrize("large", [False, True])
def test_the_flags_of_that_client_and_nothing_else_are_set(large: bool):
    memory = Memory()
    if large:
        groups = [[memory.group("a"), memory.group("bots")], [memory.group("bot"), memory.group("b")]]
        table = memory.large(*groups)
    else:
        table = memory.table(memory.put(memory.group("a", "bots", "bot")), 0)
    switch_on(table, b"bot", ["second"])
    assert switched_on(table, b"bot") == {"second"}
    wanted = client_memory()
    wanted[FLAGS["second"]] = 1
    assert memory.clients["bot"].raw == wanted
    assert all(memory.clients[name].raw == client_memory() for name in set(memory.clients) - {"bot"})
    switch_on(table, b"bot", FLAGS)
    assert switched_on(table, b"bot") == set(FLAGS)
    with pytest.raises(NotAsExpected):
        switch_on(table, b"nobody", FLAGS)


def test_a_table_that_is_being_changed_is_left_alone():
    memory = Memory()
    with pytest.raises(NotAsExpected):
        switch_on(memory.table(memory.put(memory.group("bot")), 0, writing=1), b"bot", FLAGS)
    assert memory.clients["bot"].raw == client_memory()


@pytest.mark.parametrize(
    ("place", "value"), [(0x31, 2), (0x60, 0xFF), (0x30, 1), (0x61, 0), (0x08, 7), (0x18, 7), (0x42, 1)]
)
def test_nothing_is_written_into_what_is_not_as_expected(place: int, value: int):
    memory, odd = Memory(), client_memory()
    odd[place] = value
    table = memory.one(odd)
    with pytest.raises(NotAsExpected):
        switch_on(table, b"bot", FLAGS)
    assert memory.clients["bot"].raw == odd


def test_loggers_of_no_type_are_not_as_expected():
    memory, odd = Memory(), client_memory()
    odd[0x08:0x10] = odd[0x18:0x20] = bytes(8)
    with pytest.raises(NotAsExpected):
        switch_on(memory.one(odd), b"bot", FLAGS)


def test_every_flag_of_a_known_build_is_compared_before_it_is_written():
    for build in builds.KNOWN:
        for name, offset in build.client.flags.items():
            assert build.client.bytes[offset] == {0, 1}, name


def media_conn(memory: Memory, auth: bytes, hosts: list[bytes]) -> bytearray:
    """A client's memory that leads to what it knows of the media hosts."""
    texts = [(memory.put(one), len(one)) for one in hosts]
    listed = memory.put(b"".join(struct.pack("<QQ", *one) for one in texts) or b"\0")
    known = bytearray(0x58)
    struct.pack_into("<QQ", known, 0, memory.put(auth), len(auth))
    struct.pack_into("<QQQ", known, 0x40, listed, len(texts), len(texts))
    client = client_memory()
    struct.pack_into("<Q", client, 0x50, memory.put(bytes(known)))
    return client


def test_the_media_hosts_are_read():
    memory = Memory()
    hosts = [b"mmg.whatsapp.net", b"evil.example", b"media-fra3-1.cdn.whatsapp.net"]
    table = memory.one(media_conn(memory, b"AUTH-1", hosts))
    assert media_hosts.read(table, b"bot") == MediaHosts(
        ("mmg.whatsapp.net", "media-fra3-1.cdn.whatsapp.net"), "AUTH-1"
    )
    assert media_hosts.read(table, b"nobody") is None
    assert media_hosts.read(memory.one(client_memory()), b"bot") is None, "it was not asked for yet"


@pytest.mark.parametrize(
    ("auth", "hosts"),
    [
        (b"", [b"mmg.whatsapp.net"]),
        (b"a b", [b"mmg.whatsapp.net"]),
        (b"\xff", [b"mmg.whatsapp.net"]),
        (b"A", []),
        (b"A", [b"evil.example"]),
        (b"A", [b"mmg.whatsapp.net.evil.example", b"mmg.whatsapp.net/x", b"\xff"]),
    ],
)
def test_what_is_no_media_host_is_not_believed(auth: bytes, hosts: list[bytes]):
    memory = Memory()
    assert media_hosts.read(memory.one(media_conn(memory, auth, hosts)), b"bot") is None
