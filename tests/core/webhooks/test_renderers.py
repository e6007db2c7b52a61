"""An endpoint gets its events in its format; identification and signatures are the deliverer's in each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.core.raw_receiver import raw_receiver
from tests.core.receiver import receiver
from tests.core.scripted import QUICK, eventually, text, world
from tests.core.webhooks.test_deliveries import until
from tests.core.webhooks.test_endpoints import connected, person
from zapwire.core.events.serializers import event_bytes, read_event
from zapwire.core.webhooks.prepared_request import PreparedRequest
from zapwire.core.webhooks.renderers import RENDERERS, Rendered
from zapwire.core.webhooks.signing import Signer, new_keys
from zapwire.model import timestamps
from zapwire.model.bots import NO_BOT
from zapwire.model.errors import InvalidInput
from zapwire.model.events import Event, EventType, Payload

EVENT = Event(1, "evt_1", EventType.BOT_STATE, timestamps.now(), NO_BOT, Payload(b'{"a":1}'))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def plain(event: Event) -> Rendered:
    """A dialect: the type alone, and headers of its own."""
    body = b'{"only": "%b"}' % event.type.value.encode()
    return Rendered(body, "application/vnd.plain+json", {"X-Dialect": "plain", "x-own": "the format's"})


@pytest.fixture
def plain_format(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(RENDERERS, "plain", plain)
    return "plain"


async def test_a_second_renderer_is_used_where_it_is_named_and_signed_like_the_first(tmp_path: Path, plain_format: str):
    async with world(tmp_path / "db", linked=True, limits=QUICK) as at, receiver() as old, receiver() as new:
        await connected(at)
        wanted = ["message.received"]
        first, _ = await at.core.endpoints.create(old.url, events=wanted)
        second, secret = await at.core.endpoints.create(
            new.url, events=wanted, headers={"X-Own": "mine", "x-other": "kept"}, format=plain_format
        )
        await at.tell("bot", text("A", chat=person(1)))
        await until(at, first.id, "delivered")
        await until(at, second.id, "delivered")
        assert old.got[0]["data"]["id"] == "A"
        assert old.headers[0]["Content-Type"] == "application/json"
        assert new.raw == ['{"only": "message.received"}']
        [sent] = [{name.lower(): value for name, value in one.items()} for one in new.headers]
        assert (sent["content-type"], sent["x-dialect"], sent["x-own"], sent["x-other"]) == (
            *("application/vnd.plain+json", "plain", "the format's", "kept"),
        )
        assert sent["webhook-id"] == old.headers[0]["webhook-id"]
        Webhook(secret).verify(new.raw[0], sent)


async def test_the_format_can_be_changed_and_one_that_is_not_known_is_refused(tmp_path: Path, plain_format: str):
    async with world(tmp_path / "db") as at:
        made, _ = await at.core.endpoints.create("https://example.com/")
        assert made.format == "v1"
        assert (await at.core.endpoints.update(made.id, format=plain_format)).format == "plain"
        assert (await at.core.endpoints.update(made.id, description="x")).format == "plain"
        with pytest.raises(InvalidInput, match="one of plain, v1") as caught:
            await at.core.endpoints.update(made.id, format="evolution")
        assert caught.value.field == "format"
        with pytest.raises(InvalidInput, match="one of plain, v1"):
            await at.core.endpoints.create("https://example.com/", format="")


async def test_an_endpoint_in_a_format_of_a_newer_version_is_disabled_and_says_why(tmp_path: Path):
    async with world(tmp_path / "db") as at, raw_receiver(OK) as hook:
        made, _ = await at.core.endpoints.create(hook.url)
        stored = replace(made, format="of tomorrow")
        await at.database.write(lambda unit: unit.endpoints.update(stored))
        at.core.delivery_log._dispatch.changed(made.id)

        async def disabled() -> bool:
            return not (await at.core.endpoints.get(made.id)).enabled

        await eventually(disabled)
        assert "set `format` again" in ((await at.core.endpoints.get(made.id)).disabled_reason or "")
        again = await at.core.endpoints.update(made.id, format="v1", enabled=True)
        assert (again.enabled, again.format) == (True, "v1")


async def test_a_dead_letter_is_kept_as_an_event_and_replayed_in_the_format_of_then(tmp_path: Path, plain_format: str):
    refused = b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"
    quick = replace(QUICK, webhook_schedule=(0.01,) * 3)
    async with world(tmp_path / "db", linked=True, limits=quick) as at, receiver() as hook:
        async with raw_receiver(refused) as bad:
            await connected(at)
            made, _ = await at.core.endpoints.create(
                bad.url, events=["message.received"], format=plain_format, client_error_attempts=2
            )
            await at.tell("bot", text("A", chat=person(1)))
            await until(at, made.id, "dead")
        [event] = [one for one in await at.events() if one.type is EventType.MESSAGE_RECEIVED]
        letter = await at.database.read(lambda view: view.delivery_queue.letter(made.id, event.seq))
        assert letter is not None
        assert read_event(letter) == replace(event, timestamp=read_event(letter).timestamp)
        await at.database.write(lambda unit: unit.retention.prune_events(1000, event.seq))
        await at.core.endpoints.update(made.id, url=hook.url, format="v1")
        await at.core.delivery_log.replay_one(made.id, event.id)
        await until(at, made.id, "delivered")
        assert hook.raw == [letter]


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": "a\0"}], ids=["value", "name", "zero"])
async def test_nothing_breaks_out_of_a_header(headers: dict[str, str]):
    request = PreparedRequest("http://127.0.0.1/", Signer(new_keys(None, ed25519=False)), headers)
    with pytest.raises(ValueError, match="line break"):
        request.encode(EVENT, timestamps.now())
    plain_request = PreparedRequest("http://127.0.0.1/", Signer(new_keys(None, ed25519=False)))
    with pytest.raises(ValueError, match="control character"):
        plain_request.encode(replace(EVENT, id="evt\r\nX: y"), timestamps.now())


async def test_the_address_is_written_as_http_wants_it():
    for url, line, host in (
        ("http://127.0.0.1:80/a b?x=ä#part", b"POST /a%20b?x=%C3%A4 HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n"),
        ("https://[::1]:8443", b"POST / HTTP/1.1\r\n", b"Host: [::1]:8443\r\n"),
        ("http://bücher.example:8080/?", b"POST / HTTP/1.1\r\n", b"Host: xn--bcher-kva.example:8080\r\n"),
    ):
        request = PreparedRequest(url, Signer(new_keys(None, ed25519=False)))
        sent = request.encode(EVENT, timestamps.now())
        assert sent.startswith(line + host), sent[:80]
        assert sent.endswith(b"\r\n\r\n" + event_bytes(EVENT))
