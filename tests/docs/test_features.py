"""docs/features.md: no cell is empty, and what we claim is proved by a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "features.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| feature |")
]
_PROOF = re.compile(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)")


def test_there_are_rows() -> None:
    assert len(ROWS) > 60
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_says_who_has_it_and_proves_or_explains_ours(row: list[str]) -> None:
    assert len(row) == 7
    assert all(row)
    _, ours, why, *_ = row
    proof = _PROOF.fullmatch(why)
    if ours == "yes":
        assert proof is not None
        assert f"def {proof[1]}(" in (ROOT / proof[2]).read_text()
    else:
        assert ours in {"part", "no"}
        assert len(why) > 10
        assert proof is None
