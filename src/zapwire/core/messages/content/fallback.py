"""What stands in for a list or for buttons where the network shows neither: a numbered text, or a poll.

A person answers with a number, with the words of a row, or by a vote; whichever it is, `choice_of` finds what was
chosen, so that a bot need not care how its list was shown.
"""

from __future__ import annotations

from typing import Any, Final

from zapwire.core.messages.content.interactive import OPTION, QUESTION
from zapwire.model.content.base import Choice
from zapwire.model.content.interactive import ButtonsContent, Fallback, ListContent, PollContent
from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent

FALLBACKS: Final = frozenset({ListContent.kind, ButtonsContent.kind})
"""Kinds that have a stand-in."""
_POLL: Final = range(2, 13)
LONGEST_ANSWER: Final = 200
"""Characters of a text that may be an answer."""


def shown_as(content: AnyContent, wanted: Fallback) -> AnyContent:
    """What is sent for *content*: itself, or its stand-in."""
    if not isinstance(content, ListContent | ButtonsContent):
        return content
    choices = choices_of(content)
    titles = tuple(one.title for one in choices)
    links = isinstance(content, ButtonsContent) and any(one.id is None for one in content.buttons)
    common: dict[str, Any] = {
        "quoted": content.quoted,
        "mentions": content.mentions,
        "mentions_all": content.mentions_all,
    }
    question = "\n".join(part for part in (content.title, content.text) if part)
    fits = len({*titles}) == len(titles) in _POLL and len(question) <= QUESTION and max(map(len, titles)) <= OPTION
    if wanted == "poll" and fits and not links:
        return PollContent(question=question, options=titles, selectable=1, **common)
    return TextContent(text=_text(content), **common)


def choices_of(content: AnyContent) -> list[Choice]:
    """What can be chosen of *content*, in order; empty for other kinds."""
    if isinstance(content, ListContent):
        return [Choice(id=row.id, title=row.title) for section in content.sections for row in section.rows]
    if isinstance(content, ButtonsContent):
        return [Choice(id=one.id, title=one.title) for one in content.buttons if one.id is not None]
    return []


def choice_of(content: AnyContent, answer: str) -> Choice | None:
    """What the text *answer* chooses of *content*: its number, or its title in any case."""
    if len(answer) > LONGEST_ANSWER:
        return None
    said, choices = answer.strip().rstrip(".)").strip(), choices_of(content)
    found = [one for one in choices if one.title.casefold() == said.casefold()]
    if not found and said.isdecimal() and len(said) <= 3 and 1 <= int(said) <= len(choices):
        found = [choices[int(said) - 1]]
    return found[0] if len(found) == 1 else None


def _text(content: ListContent | ButtonsContent) -> str:
    head = f"*{content.title}*\n{content.text}" if content.title else content.text
    lines = _rows(content) if isinstance(content, ListContent) else _buttons(content)
    return "\n\n".join(part for part in (head, "\n".join(lines), content.footer) if part)


def _rows(content: ListContent) -> list[str]:
    lines, number = list[str](), 0
    for section in content.sections:
        if section.title:
            lines.append(f"*{section.title}*")
        for row in section.rows:
            number += 1
            lines.append(f"{number}. {row.title}" + (f" - {row.description}" if row.description else ""))
    return lines


def _buttons(content: ButtonsContent) -> list[str]:
    lines, number = list[str](), 0
    for one in content.buttons:
        if one.id is None:
            lines.append(f"{one.title}: {one.url or one.phone}")
        else:
            number += 1
            lines.append(f"{number}. {one.title}")
    return lines
