"""What a line of the log looks like, whatever it quotes."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import zapwire
from zapwire.runtime import log_setup

SOURCE = Path(zapwire.__file__).parent


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], logger.level = handlers, level


def told(root: logging.Logger, form: str, message: str, *args: object, **more: object) -> str:
    log_setup.configure("INFO", form)
    record = root.makeRecord("zapwire.test", logging.INFO, "f", 1, message, args, None, extra=more or None)
    formatter = root.handlers[0].formatter
    assert formatter is not None
    return formatter.format(record)


FORGED = "x\n2026-11-25 22:00:00,000 INFO    zapwire.daemon.app: bot bank: logged_out\x1b[31m\r\x85\u2028end"


def test_what_a_line_quotes_is_no_line_of_its_own(root: logging.Logger) -> None:
    text = told(root, "text", "refused %s", FORGED)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2
    assert text.splitlines()[1].startswith("    ")
    line = told(root, "json", "refused %s", FORGED)
    assert "\n" not in line
    assert json.loads(line)["message"] == f"refused {FORGED}"


def test_half_an_emoji_is_a_line_all_the_same(root: logging.Logger) -> None:
    assert json.loads(told(root, "json", "from %s", "\ud83d").encode())["message"] == "from \ufffd"


def test_a_line_about_a_bot_has_the_bot_as_a_field(root: logging.Logger) -> None:
    line = json.loads(told(root, "json", "bot %s: %s", "shop", "connected", url="u"))
    assert (line["bot"], line["message"], line["url"]) == ("shop", "bot shop: connected", "u")
    assert json.loads(told(root, "json", "webhook %s: given up", "wh_1"))["webhook"] == "wh_1"
    assert "bot" not in json.loads(told(root, "json", "refused %s", "bot %s: x")), "never from what is filled in"


def templates() -> Iterator[tuple[str, str]]:
    """What is logged: file with line, and the text before anything is filled in."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"log", "logger"}
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield f"{file.relative_to(SOURCE)}:{node.lineno}", str(node.args[0].value)


def test_whoever_names_a_bot_or_a_webhook_begins_with_it() -> None:
    found = list(templates())
    assert len(found) > 20
    wrong = [
        place
        for place, text in found
        if ("bot %s" in text or "webhook %s" in text) and not text.startswith(tuple(log_setup.SUBJECTS))
    ]
    assert wrong == []


def test_a_line_can_be_had_without_any_lock(root: logging.Logger) -> None:
    log_setup.configure("INFO", "json")
    line = log_setup.line(logging.getLogger("zapwire.x"), logging.CRITICAL, "leaving")
    assert json.loads(line) == {
        "time": json.loads(line)["time"],
        "level": "critical",
        "logger": "zapwire.x",
        "message": "leaving",
    }
