from __future__ import annotations

from pathlib import Path

from zapwire.transport.whatsapp_web.engine.build_date import built_on
from zapwire.transport.whatsapp_web.engine.engine import library_path


def test_the_engine_tells_its_day_and_another_file_none(tmp_path: Path) -> None:
    assert built_on(library_path()) == "2026-09-21"
    other = tmp_path / "lib.so"
    other.write_bytes(b"\tgo.mau.fi/whatsmeow\t(devel)\t")
    assert built_on(other) is None
