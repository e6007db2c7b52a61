"""Which engine this is: the pinned version, and a build that is known or is not."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zapwire.model.errors import SettingsError
from zapwire.transport.whatsapp_web.engine import library
from zapwire.transport.whatsapp_web.engine.engine import Engine, library_path
from zapwire.transport.whatsapp_web.engine.private import builds

ROOT = Path(__file__).parents[3]


def test_the_version_is_the_one_that_is_pinned():
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"neonize=={builds.VERSION}" in pins
    assert re.search(rf"^neonize=={re.escape(builds.VERSION)} ", (ROOT / "requirements.lock").read_text(), re.M)
    assert importlib.metadata.version("neonize") == builds.VERSION
    assert all(build.version == builds.VERSION for build in builds.KNOWN)


async def test_an_engine_of_another_version_is_not_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(builds, "VERSION", "0.5.1")
    with pytest.raises(SettingsError, match=r"version 0\.5\.2, and this program fits 0\.5\.1 only: install what"):
        await Engine.load(None)


def test_the_build_id_is_read():
    found = builds.build_id(library_path())
    assert found is not None
    assert re.fullmatch(r"[0-9a-f]{40}", found)
    if platform.machine() == "x86_64":
        assert found == builds.KNOWN[0].build_id


def test_another_build_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One byte of the id is another one: no offset is used, everything else works."""
    content = library_path().read_bytes()[:65536]
    found = builds.build_id(library_path())
    assert found is not None
    known = [SimpleNamespace(build_id=found)]
    (tmp_path / "same.so").write_bytes(content)
    assert builds.find(tmp_path / "same.so", known) is known[0]
    other = content.replace(bytes.fromhex(found), bytes([*bytes.fromhex(found)[:-1], 0]))
    assert other != content
    (tmp_path / "other.so").write_bytes(other)
    assert builds.find(tmp_path / "other.so", known) is None


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(200), b"\x7fELF\x02\x01" + b"\xff" * 200, b"MZ" * 99]
)
def test_what_is_no_such_library_has_no_build_id(tmp_path: Path, content: bytes):
    (tmp_path / "library").write_bytes(content)
    assert builds.build_id(tmp_path / "library") is None


NO_TABLE = """
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.engine.library import Library
print(Library(library_path(), None, ()).table)
"""


def test_a_library_of_no_known_build_has_no_table():
    done = subprocess.run([sys.executable, "-c", NO_TABLE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "None"


def test_a_table_is_made_for_the_build_alone(monkeypatch: pytest.MonkeyPatch):
    """The offset that is used is that of the build found, not a constant of the module."""
    made: list[Any] = []
    monkeypatch.setattr(library, "ClientTable", lambda build, address: made.append((build, address)))
    build = SimpleNamespace(build_id=builds.build_id(library_path()))
    library.Library(library_path(), None, (build,))
    assert [one[0] for one in made] == [build]
