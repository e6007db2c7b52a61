"""The page on licences names what the engine that is installed was built of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_module_of_the_engine_is_listed_with_its_version_and_no_other_is() -> None:
    told = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "engine-modules")], capture_output=True, text=True, check=True
    ).stdout
    linked = {tuple(line.split("\t")[:2]) for line in told.splitlines()}
    assert len(linked) > 10
    page = (ROOT / "docs" / "licences.md").read_text()
    assert set(re.findall(r"^\| `([^`]+)` \| (\S+) \|", page, re.MULTILINE)) == linked


def test_what_is_no_program_of_go_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(b"\x7fELF" + bytes(10_000))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "engine-modules"), str(tmp_path / "x.so")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "no build information" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
