"""docs/architecture.md names every package, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "zapwire"
TEXT = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = sorted(
    ".".join(file.parent.relative_to(SOURCE.parent).parts)
    for file in SOURCE.rglob("__init__.py")
    if file.parent != SOURCE
)


def is_named(package: str) -> bool:
    """By its dotted name, by its path, or by its last part in the row of the package that it is in."""
    _, parent, *inner = package.split(".")
    if f"`{package}`" in TEXT or f"`{'/'.join([parent, *inner])}`" in TEXT:
        return True
    if not inner:
        return False
    if f"`{'/'.join(inner)}`" in TEXT:
        return True
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| `zapwire.{parent}`")]
    return any(f"`{inner[-1]}`" in row for row in rows)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_named(package: str) -> None:
    assert is_named(package), f"docs/architecture.md says nothing of {package}"


def test_a_package_that_nobody_names_is_found() -> None:
    assert not is_named("zapwire.core.nowhere")
    assert not is_named("zapwire.nowhere")


def test_every_path_is_there() -> None:
    named = {path for path in re.findall(r"`([a-z_0-9/]+(?:\.py)?)`", TEXT) if "/" in path}
    assert len(named) > 30
    lost = [
        path
        for path in named
        if not any((place / path).exists() for place in (SOURCE, SOURCE / "sandbox", ROOT, SOURCE / "transport"))
    ]
    assert not lost


def test_the_glossary_is_in_order_and_says_nothing_twice() -> None:
    words = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[2:]
    plain = [word.lower().replace(" ", "").replace("-", "") for word in words]
    assert plain == sorted(set(plain))
