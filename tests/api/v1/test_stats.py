"""The figures: counted from what really happened, in both forms, all of them documented."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Api, open_api
from tests.core.scripted import eventually
from tests.harness.descriptors import no_descriptor_left
from tests.harness.receiver import Receiver
from tests.harness.scripted import NOBODY
from zapwire.api.prometheus import Exporter
from zapwire.api.v1.schemas.stats import Stats
from zapwire.store.sqlite.repositories.backlog import WEBHOOKS

DOCS = Path(__file__).parents[3] / "docs"


async def scrape(api: Api) -> dict[str, Any]:
    """The families by name."""
    status, headers, body = await api.raw("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def value(families: dict[str, Any], sample: str, **labels: str) -> float:
    found = [s.value for f in families.values() for s in f.samples if s.name == sample and s.labels == labels]
    assert len(found) == 1, (sample, labels, found)
    return float(found[0])


@pytest_asyncio.fixture
async def busy(api: Api) -> Api:
    """A bot that was linked, got two messages, sent one, and failed to send another."""
    shop = await api.connected("shop")
    await shop.receive("one", 1)
    await shop.receive("two", 2)
    await shop.receive("two", 2)  # a repetition is no message
    for to in ("+4915100000002", NOBODY):
        sent = await api.call("POST", "/v1/bots/shop/messages?wait=5", {"to": to, "text": "hi"})
        assert sent["state"] in {"sent", "failed"}
    await eventually(lambda: api.core.stats.counters.outcomes.total() == 2)
    return api


async def test_stats_count_what_happened(busy: Api) -> None:
    stats = await busy.call("GET", "/v1/stats")
    Stats.model_validate(stats, by_alias=True)
    total, (bot,) = stats["total"], stats["bots"]
    assert total["states"]["connected"] == 1
    assert (total["received"]["count"], total["sent"]["count"], total["failed"]) == (2, 1, 1)
    assert total["received"]["per_second"]["1m"] > total["received"]["per_second"]["15m"] > 0
    assert total["send"]["count"] == 1
    assert {key: bot[key] for key in ("id", "state", "failed", "queued")} == {
        "id": "shop",
        "state": "connected",
        "failed": 1,
        "queued": 0,
    }
    assert bot["received"] == total["received"]
    assert (stats["pairing"]["codes"], stats["pairing"]["scans"]) == ({"qr": 1}, 1)
    assert stats["pairing"]["to_qr"]["count"] == stats["pairing"]["to_connected"]["count"] == 1
    assert stats["process"]["resident"] > 10_000_000
    assert stats["store"]["writes"] >= stats["store"]["commits"]["count"] > 0
    assert stats["store"]["last_seq"] == await busy.core.subscriptions.last_seq()


async def test_stats_of_some_bots(busy: Api) -> None:
    await busy.call("POST", "/v1/bots", {"id": "other", "autostart": False})
    assert [bot["id"] for bot in (await busy.call("GET", "/v1/stats?bots=other"))["bots"]] == ["other"]
    assert (await busy.call("GET", "/v1/stats?bots=other"))["total"]["received"]["count"] == 2
    await busy.call("DELETE", "/v1/bots/shop")
    stats = await busy.call("GET", "/v1/stats")
    assert [bot["id"] for bot in stats["bots"]] == ["other"]
    assert "shop" not in busy.core.stats.counters.bots


async def test_metrics_count_what_happened(busy: Api) -> None:
    families = await scrape(busy)
    assert value(families, "zapwire_bots", state="connected") == 1
    assert value(families, "zapwire_bots", state="blocked") == 0
    assert value(families, "zapwire_messages_received_total", type="text") == 2
    assert value(families, "zapwire_messages_out_total", outcome="sent") == 1
    assert value(families, "zapwire_messages_out_total", outcome="failed") == 1
    assert value(families, "zapwire_send_seconds_count") == 1
    assert value(families, "zapwire_bot_connected", bot="shop") == 1
    assert value(families, "zapwire_pairing_codes_total", kind="qr") == 1
    assert value(families, "zapwire_journal_seq") == await busy.core.subscriptions.last_seq()
    assert value(families, "process_open_fds") > 3
    buckets = [s for s in families["zapwire_store_commit_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.value for s in buckets] == sorted(s.value for s in buckets)
    assert buckets[-1].labels == {"le": "+Inf"}


async def test_deliveries_and_reconnects_are_counted(api: Api) -> None:
    shop = await api.connected("shop")
    async with Receiver() as receiver:
        await api.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
        await shop.receive("one", 1)
        await receiver.next()
        receiver.status = 500
        await shop.receive("two", 2)
        await receiver.next()
        await eventually(lambda: api.core.stats._dispatcher.deliveries["failed"].count == 1)
        families = await scrape(api)
    assert value(families, "zapwire_webhook_delivery_seconds_count", outcome="delivered") == 1
    assert value(families, "zapwire_webhook_delivery_seconds_count", outcome="failed") == 1


async def test_a_scrape_needs_a_token(api: Api) -> None:
    for path in ("/metrics", "/v1/stats"):
        status, _, body = await api.raw("GET", path, headers={"Authorization": ""})
        assert (status, json.loads(body)["code"]) == (401, "unauthorized")


async def test_openmetrics_is_spoken_on_request(api: Api) -> None:
    _, headers, body = await api.raw(
        "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest_asyncio.fixture
async def few(tmp_path: Path) -> AsyncIterator[Api]:
    async for one in open_api(tmp_path, metrics_per_bot=1):
        yield one


async def test_with_many_bots_only_the_sums_stay(few: Api) -> None:
    await few.call("POST", "/v1/bots", {"id": "one", "autostart": False})
    assert "zapwire_bot_connected" in await scrape(few)
    await few.call("POST", "/v1/bots", {"id": "two", "autostart": False})
    families = await scrape(few)
    assert value(families, "zapwire_bots", state="stopped") == 2
    assert [name for name in families if name.startswith("zapwire_bot_")] == []


async def test_every_metric_is_documented_and_nothing_else_is(api: Api) -> None:
    await api.call("POST", "/v1/bots", {"id": "one", "autostart": False})
    kinds = {"gauge": "gauge", "counter": "counter", "histogram": "histogram", "unknown": "info", "info": "info"}
    families = {name.removesuffix("_info"): kinds[f.type] for name, f in (await scrape(api)).items()}
    # The older text format has no such kind.
    families["zapwire_build"] = families["zapwire_whatsapp_version"] = "info"
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    assert {name: kind for name, kind, _ in rows} == families
    for name, _, labels in rows:
        for family in (await scrape(api)).values():
            if family.name.removesuffix("_info") == name:
                found = {label for sample in family.samples for label in sample.labels} - {"le"}
                assert found == set(labels.split(", ")) - {""}, name


async def existing_samples(api: Api) -> dict[str, str]:
    """Every name that a query may use, and its kind."""
    await api.call("POST", "/v1/bots", {"id": "one", "autostart": False})
    return {sample.name: family.type for family in (await scrape(api)).values() for sample in family.samples}


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:zapwire|process)_\w+", query))


def check_query(query: str, existing: dict[str, str]) -> None:
    """It is balanced, names what there is, and takes rates only of what can but grow."""
    for opening, closing in ("()", "{}", "[]"):
        assert query.count(opening) == query.count(closing), query
    assert names_in(query) - existing.keys() == set(), query
    for function, name in re.findall(r"\b(rate|increase|irate|delta|deriv|idelta)\((\w+)", query):
        grows = existing[name] in {"counter", "histogram"}
        assert grows == (function in {"rate", "increase", "irate"}), query


async def test_the_dashboard_uses_metrics_that_exist(api: Api) -> None:
    existing = await existing_samples(api)
    dashboard = json.loads((DOCS / "grafana" / "zapwire.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)  # no panel covers another
    assert max(x for x, _ in cells) < 24
    assert {panel["type"] for panel in panels if panel["gridPos"]["y"] == 0} == {"stat"}  # first the numbers
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    for query in queries:
        check_query(query, existing)
    assert len(set[str]().union(*map(names_in, queries))) > 40


async def test_the_alerts_use_metrics_that_exist(api: Api) -> None:
    existing = await existing_samples(api)
    rules = (DOCS / "grafana" / "alerts.yml").read_text()
    queries = re.findall(r"^ +expr: (.+)$", rules, re.MULTILINE)
    assert len(queries) == rules.count("- alert: ") > 5
    for query in queries:
        check_query(query, existing)
        assert names_in(query) or query.startswith("up{")


async def test_what_is_the_matter_has_a_metric(api: Api) -> None:
    stats = api.core.stats
    exported = Exporter(stats, await stats.take(), streams=0, most=0, alerts=["descriptors"]).collect()
    families = {family.name: family for family in exported}
    assert value(families, "zapwire_alerts", kind="descriptors") == 1
    assert value(families, "zapwire_alerts", kind="loop") == 0


async def test_webhooks_are_counted_by_how_they_do(api: Api) -> None:
    for _ in range(3):
        await api.call("POST", "/v1/webhooks", {"url": "https://example.com/", "events": ["bot.state"]})
    one, two, _ = (await api.call("GET", "/v1/webhooks"))["webhooks"]
    await api.call("PATCH", f"/v1/webhooks/{one['id']}", {"enabled": False})
    await api.call("POST", f"/v1/webhooks/{two['id']}/pause")
    families = await scrape(api)
    counted = {state: value(families, "zapwire_webhooks", state=state) for state in WEBHOOKS}
    assert counted == {"working": 1, "failing": 0, "unreachable": 0, "paused": 1, "disabled": 1}
    assert (await api.call("GET", "/v1/stats"))["webhooks"]["states"] == counted


async def test_a_scrape_needs_no_descriptor(api: Api) -> None:
    await scrape(api)
    with no_descriptor_left():
        assert value(await scrape(api), "process_open_fds") == value(await scrape(api), "process_max_fds")
