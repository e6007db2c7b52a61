"""The documentation tells every setting, event, call, problem and command; a new one without a word fails here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from zapwire import cli, settings
from zapwire.api import routes
from zapwire.api.http import errors
from zapwire.api.v1.schemas import events
from zapwire.model.bots import BotState
from zapwire.model.content.base import Content
from zapwire.model.content.interactive import Button, ListRow, ListSection
from zapwire.model.content.kinds import KINDS
from zapwire.model.content.places_and_people import ContactCard
from zapwire.model.errors import Condition
from zapwire.model.events import EventType
from zapwire.model.messages import MessageState

DOCS = Path(__file__).parents[2] / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("row", list(settings.table()), ids=lambda row: row[0])
def test_settings(row: tuple[str, str, str]) -> None:
    name, default, sentence = row
    cell = f"`{default}`" if default else ""
    assert f"| `ZAPWIRE_{name.upper()}` | `{name}` | {cell} | {sentence} |" in text("settings.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    named = set(re.findall(r"^\| `ZAPWIRE_(\w+)`", text("settings.md"), re.MULTILINE))
    assert named == {name.upper() for name in settings.Settings.model_fields}


def test_events() -> None:
    named = set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", text("events.md"), re.MULTILINE))
    assert named == {kind.value for kind in EventType}


@pytest.mark.parametrize("kind", list(EventType))
def test_every_event_has_a_schema_and_an_example_that_fits_it(kind: EventType) -> None:
    _, heading, section = text("event-examples.md").partition(f"## {kind.value}\n")
    assert heading, f"{kind.value} has no example"
    example = json.loads(section.partition("```json\n")[2].partition("\n```")[0])
    events.EVENTS[kind].model_validate(example)


PARTS = {"contact": (ContactCard,), "list": (ListSection, ListRow), "buttons": (Button,)}
"""What stands inside contents of a kind."""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_content_is_documented_with_its_fields(kind: str) -> None:
    [row] = re.findall(rf"^\| `{kind}` \| (.*) \|$", text("events.md"), re.MULTILINE)
    fields = KINDS[kind].model_fields
    own = [name for name in fields if name not in Content.model_fields]
    inner = {name for part in PARTS.get(kind, ()) for name in part.model_fields}
    assert set(re.findall(r"`(\w+)`", row)) == {*own, *inner}
    assert set(re.findall(r"\*\*`(\w+)`\*\*", row)) == {name for name in own if fields[name].is_required()}
    assert all(f"`{name}`" in text("events.md") for name in Content.model_fields)


def test_calls() -> None:
    named = set(re.findall(r"^\| `(GET|POST|PATCH|DELETE) ([^`?]+)", text("api.md"), re.MULTILINE))
    assert named == {(route.method, route.path) for route in (*routes.API, *routes.SANDBOX)}


@pytest.mark.parametrize("word", [*(state.value for state in BotState), *(state.value for state in MessageState)])
def test_states(word: str) -> None:
    assert f"`{word}`" in text("api.md")


@pytest.mark.parametrize("condition", list(Condition))
def test_codes_of_bots(condition: Condition) -> None:
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| `[a-z_]+`", text("api.md"), re.MULTILINE)
    assert condition.value in {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}


def test_problems() -> None:
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| [\d, ]+ \|", text("api.md"), re.MULTILINE)
    assert {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)} == set(errors.CODES)


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


@pytest.mark.parametrize(("name", "command"), list(commands(cli.commands, "zapwire")), ids=str)
def test_commands(name: str, command: click.Command) -> None:
    _, heading, section = text("cli.md").partition(f"## {name}")
    assert heading, f"{name} has no section in cli.md"
    section = section.partition("\n## ")[0]
    shared = text("cli.md") if name.startswith("zapwire token") else section
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[0]}" in shared, parameter.opts[0]


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), target


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.name[:4] for path in (DOCS / "decisions").glob("*.md")]
    assert sorted(numbers) == sorted(set(numbers))
