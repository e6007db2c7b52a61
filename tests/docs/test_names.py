"""Files and modules that documents, comments and docstrings name are there."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = "src/zapwire/transport/whatsapp_web"
FILE = re.compile(r"[\w./-]*\w\.py\b")
MODULE = re.compile(r"(?<![\w./:@-])zapwire(?:\.[a-z_]\w*)+(?![\w-]*\()")
NO_MODULES = re.compile(r"zapwire\.(db|lock|toml|service|localhost|json)\b")
"""Files, and a host, that begin like a module."""
ELSEWHERE = {"tool.py"}
"""Of other projects."""
FOLDERS = ("src", "tests", "bench", "docs", "tools", "systemd", ".ci")
SUFFIXES = {"", ".md", ".service", ".toml"}


@cache
def ours() -> tuple[str, ...]:
    """Every file of ours, from the root of the project."""
    found = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*")] + list(ROOT.glob("[!.]*"))
    return tuple(sorted(str(file.relative_to(ROOT)) for file in found if file.is_file()))


def prose_of(source: str) -> Iterator[str]:
    """Comments and docstrings of a program, also those below attributes."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(ast.Constant(str(text))):
                yield text


def text_of(name: str) -> str:
    content = (ROOT / name).read_text()
    return "\n".join(prose_of(content)) if name.endswith(".py") else content


def is_file(name: str) -> bool:
    return name in ELSEWHERE or any(f"/{file}".endswith(f"/{name}") for file in ours())


def is_module(name: str) -> bool:
    """A module, or a name in one."""
    if NO_MODULES.match(name):
        return True
    parent, _, last = name.rpartition(".")
    try:
        if find_spec(name) is not None:
            return True
    except ModuleNotFoundError:
        return False
    found = find_spec(parent)
    return found is not None and found.origin is not None and last in Path(found.origin).read_text()


def missing(text: str) -> list[str]:
    files = [name for name in FILE.findall(text) if not is_file(name.lstrip("./"))]
    return files + [name for name in MODULE.findall(text) if not is_module(name)]


@pytest.mark.parametrize("name", [n for n in ours() if Path(n).suffix in SUFFIXES | {".py"}])
def test_what_is_named_is_there(name: str) -> None:
    assert missing(text_of(name)) == []


def test_the_engines_hazards_name_files_in_its_folder() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", text_of("docs/engine.md")))
    assert [name for name in named if not any((ROOT / base / name).exists() for base in (ENGINE, "src/zapwire"))] == []


@pytest.mark.parametrize(
    "name", ["core/nowhere.py", "zapwire.nowhere", "zapwire.core.nowhere.deep", "zapwire.core.bots.nobody"]
)
def test_what_is_not_there_is_found(name: str) -> None:
    assert missing(f"see `{name}` for that") == [name]


def test_what_is_there_is_not_reported() -> None:
    assert (
        missing("`zapwire.db`, zapwire.core.bots.bot, `core/bots/bot.py` and test_names.py. zapwire.runtime.tasks.")
        == []
    )
