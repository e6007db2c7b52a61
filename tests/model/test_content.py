from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from zapwire.model.content.base import Content, Person, Quoted
from zapwire.model.content.kinds import KINDS, AnyContent, EditContent, UnknownContent, read_content
from zapwire.model.content.places_and_people import LocationContent
from zapwire.model.content.text import TextContent

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PERSONS = st.builds(Person, jid=WORDS, phone=st.none() | WORDS, lid=st.none() | WORDS)
QUOTED = st.none() | st.builds(Quoted, message_id=WORDS, sender=st.none() | PERSONS, text=st.none() | WORDS)
COMMON = {"quoted": QUOTED, "mentions": st.lists(PERSONS, max_size=3).map(tuple), "view_once": st.booleans()}
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)


def contents(kind: str) -> st.SearchStrategy[AnyContent]:
    if kind == EditContent.kind:
        return contents("text").map(lambda new: EditContent(message_id="A", type="text", content=new))
    more = {"latitude": NUMBERS, "longitude": NUMBERS} if KINDS[kind] is LocationContent else {}
    return st.builds(KINDS[kind], **COMMON, **more)


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_again(kind: str, data: st.DataObject):
    content = data.draw(contents(kind))
    fields = json.loads(json.dumps(content.as_json(), allow_nan=False))
    assert read_content(kind, fields) == content
    assert content.as_json() == fields


def test_what_has_its_default_is_left_out_and_what_is_required_is_there():
    assert TextContent(text="").as_json() == {"text": ""}
    assert UnknownContent().as_json() == {}
    assert LocationContent(latitude=None, longitude=1.5).as_json() == {"latitude": None, "longitude": 1.5}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("hologram", {}),
        ("text", {}),
        ("text", {"text": "hi", "colour": "s3cret"}),
        ("text", {"text": ["hi"]}),
        ("edit", {"message_id": "A", "type": "text", "content": {"emoji": "x"}}),
        ("edit", {"message_id": "A", "type": "edit", "content": {}}),
    ],
)
def test_what_is_no_content_is_refused_without_saying_what_was_in_it(kind: str, fields: dict[str, object]):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - pydantic's error is one
        read_content(kind, fields)
    assert "s3cret" not in str(refused.value)


def test_a_content_cannot_be_changed():
    content = TextContent(text="hi")
    with pytest.raises(ValidationError):
        content.text = "bye"  # type: ignore[misc]


def test_every_kind_has_a_name_of_its_own_and_no_field_that_all_have():
    assert len({one.kind for one in KINDS.values()}) == len(KINDS)
    for one in KINDS.values():
        assert {*Content.model_fields} < {*one.model_fields}
