"""What is installed is pinned with its hash, down to what builds it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")


def installs() -> list[str]:
    """Every call of pip in what sets the program up, one line each."""
    text = "\n".join((ROOT / name).read_text() for name in ("Makefile", "Dockerfile")).replace("\\\n", " ")
    return re.findall(r"pip (?:install|wheel)\b[^&\n]*", text)


def test_nothing_is_fetched_without_a_hash() -> None:
    assert len(installs()) == 7
    for call in installs():
        assert "--require-hashes" in call or ("--no-index" in call and "--no-deps" in call), call


def test_what_builds_the_program_is_what_was_installed_before() -> None:
    for call in installs():
        if "--no-index" in call and not call.rstrip().endswith(".whl"):
            assert "--no-build-isolation" in call, call


def pinned(lock: str) -> dict[str, str]:
    """Name and version of every requirement, each of which has a hash."""
    found = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text()):
        if match := re.match(r"([a-z0-9._-]+)==([^\s;]+)", entry):
            assert "--hash=sha256:" in entry, entry
            found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_has_a_hash(lock: str) -> None:
    assert pinned(lock)


def test_the_locks_agree_and_hold_what_builds_the_program() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    backend = {re.split(r"[<>=]", one)[0] for one in project["build-system"]["requires"]}
    assert backend < pinned("requirements-build.lock").keys()
    everything = pinned("requirements-dev.lock")
    for lock in LOCKS[:2]:
        assert pinned(lock).items() <= everything.items(), lock
