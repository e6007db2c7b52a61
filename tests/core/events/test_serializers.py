"""An event is encoded once, and is the same JSON wherever it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.scripted import world
from zapwire.core.events.serializers import event_bytes, timestamp
from zapwire.model import timestamps
from zapwire.model.bots import NO_BOT, BotId
from zapwire.model.events import Event, EventType, Payload
from zapwire.runtime import json_encoder

_TEXTS = st.text(st.characters(codec=None, exclude_categories=()))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
    max_leaves=20,
)


@given(st.dictionaries(_TEXTS, _VALUES), st.sampled_from([NO_BOT, BotId("shop"), BotId('odd"\\')]))
def test_spliced_it_says_what_it_says_when_it_is_encoded_whole(data: dict[str, Any], bot: BotId):
    event = Event(7, 'evt_"1"', EventType.BOT_STATE, timestamps.now(), bot, Payload(json_encoder.encode_bytes(data)))
    whole = {
        "id": event.id,
        "seq": 7,
        "type": "bot.state",
        "timestamp": timestamp(event.timestamp),
        "bot": bot or None,
        "data": data,
    }
    assert event_bytes(event) == json_encoder.encode(whole).encode()
    assert json.loads(event_bytes(event)) == json.loads(json_encoder.encode(whole))


async def test_what_was_encoded_at_first_is_what_the_journal_keeps_and_nobody_encodes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world(tmp_path / "db") as at:
        data = {"text": "ä \ud800 \u2028", "number": float("nan"), "inner": {"a": [1, None, True]}}
        event = await at.database.write(lambda unit: unit.journal.append(EventType.BOT_STATE, BotId("a"), data))
        [published] = at.database.tail.after(event.seq - 1) or []
        stored = await at.database.read(lambda view: view.journal.by_seq(event.seq))
        assert stored is not None
        assert stored == published == event
        assert stored.data == {"text": "ä \ufffd \u2028", "number": None, "inner": {"a": [1, None, True]}}
        assert event.size == len(event.payload.encoded) > 0

        def spy(value: Any) -> str:
            assert "data" not in value
            return "{}"

        monkeypatch.setattr(json_encoder, "_dumps", spy)
        assert event.payload.encoded in event_bytes(published)
