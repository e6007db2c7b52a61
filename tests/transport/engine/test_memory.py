"""Which parts of the memory are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from zapwire.transport.whatsapp_web.engine.private import memory
from zapwire.transport.whatsapp_web.engine.private.memory import Mapping

LIBRARY = Mapping(0x7F0E6F56E000, 0x7F0E6F5ED000, "/opt/engine.so")
VARIABLES = Mapping(0x7F0E6F5ED000, 0x7F0E7163C000, "")
HEAP = Mapping(0xC000000000, 0xC000400000, "")
NAMED = Mapping(0xC000800000, 0xC001000000, "[anon: Go: heap]")
OTHERS = [
    Mapping(0x7F0E60000000, 0x7F0E60400000, ""),  # aligned as Go's, and where C allocates
    Mapping(0xC004001000, 0xC004401000, ""),
    Mapping(0xC008000000, 0xC008100000, ""),
    Mapping(0xC00C000000, 0xC00C400000, "[anon: Go: page summary]"),
    Mapping(0x557871000000, 0x557871400000, "[heap]"),
]


def test_only_the_librarys_and_gos_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "writable", lambda: iter([LIBRARY, VARIABLES, HEAP, NAMED, *OTHERS]))
    library = Path("/opt/engine.so")
    assert memory.of_library(library) == [LIBRARY]
    assert memory.behind(LIBRARY) == [VARIABLES]
    assert memory.of_go(library) == [HEAP, NAMED]
