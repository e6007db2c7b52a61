"""What users read is in the field's words: docs/glossary.md has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from zapwire import cli, settings
from zapwire.api import routes
from zapwire.api.http import errors
from zapwire.model.errors import Condition
from zapwire.model.events import EventType

NOT_OURS = {
    r"\banew\b": "again; restart, reconnect",
    r"renew(s|ing|ed)? itself": "restart itself",
    r"\brecycl": "restart",
    r"(fault|mistake)s? of ours": "internal error",
    r"nobody expected": "unexpected error",
    r"\bdoubles\b": "duplicates",
    r"\btr(y|ies|ied) again by itself": "retry",
    r"(is|are|was|were|be) tried again": "retried",
    r"insist": "retry",
    r"(cannot|could not) be told": "notified",
    r"\bfigures\b": "metrics",
    r"\bparked\b": "queued for retry",
    r"There is no such thing|cannot work\b": "not found; invalid",
}
"""Words of before, and those of the field."""


def public_texts() -> Iterator[tuple[str, str]]:
    for route in (*routes.API, *routes.SANDBOX):
        yield f"{route.method} {route.path}", route.summary
    for code, sentence in errors.CODES.items():
        yield f"problem {code}", sentence
    for error, _, title in errors._DOMAIN:
        yield f"title of {error.code}", title
    for name, _, sentence in settings.table():
        yield f"setting {name}", sentence
    for command in _commands(cli.commands):
        yield (
            f"command {command.name}",
            f"{command.help} {' '.join(getattr(p, 'help', None) or '' for p in command.params)}",
        )
    for kind in (*Condition, *EventType):
        yield kind.value, kind.value


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from _commands(one)


TEXTS = list(public_texts())


@pytest.mark.parametrize("word", NOT_OURS)
def test_public_texts_are_in_the_words_of_the_field(word: str) -> None:
    found = [(where, text) for where, text in TEXTS if re.search(word, text, re.IGNORECASE)]
    assert found == [], f"say instead: {NOT_OURS[word]}"


def test_there_are_texts_and_a_word_of_before_is_found() -> None:
    assert len(TEXTS) > 120
    assert re.search(r"\banew\b", "connects anew")
