"""`GET /metrics`: the figures in Prometheus' format; docs/metrics.md lists them.

Nothing is kept here: each scrape makes the series from what the layers below have counted. Bots get series of their own
only while there are few of them (setting `metrics_per_bot`), as each is one more for Prometheus to keep for weeks.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from zapwire import __version__
from zapwire.api.http.context import CORE, SELF_CHECK, SETTINGS
from zapwire.api.http.routing import Route
from zapwire.api.streaming.common import STREAMS
from zapwire.core.monitoring.self_check import KINDS
from zapwire.core.monitoring.snapshot import Snapshot, StatsCollector
from zapwire.runtime.instruments import Timing
from zapwire.runtime.process import STARTED

_OUTCOMES: Final = ("sent", "delivered", "read", "played", "failed", "unknown")
_PAIRING_FAILURES: Final = ("timed_out", "cancelled", "interrupted", "refused")


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`."""
    stats = request.app[CORE].stats
    registry = CollectorRegistry(auto_describe=False)
    self_check = request.app.get(SELF_CHECK)
    most = request.app[SETTINGS].metrics_per_bot
    alerts = self_check.alerts if self_check else {}
    taken, streams = await stats.take(), len(request.app[STREAMS])
    registry.register(Exporter(stats, taken, streams=streams, most=most, alerts=alerts))
    encode, media = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(registry), headers={"Content-Type": media})


class Exporter(Collector):
    """Makes the series of one scrape."""

    def __init__(
        self, stats: StatsCollector, figures: Snapshot, *, streams: int, most: int, alerts: Collection[str] = ()
    ) -> None:
        """*most*: bots that get series of their own; *alerts*: the kinds that are raised now."""
        self._stats = stats
        self._figures = figures
        self._streams = streams
        self._most = most
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """All series; see docs/metrics.md."""
        yield from self._daemon()
        yield from self._process()
        yield from self._messages()
        yield from self._deliveries()
        yield from self._pairings()
        yield from self._engine()
        if len(self._figures.bots) <= self._most:
            yield from self._per_bot()

    def _daemon(self) -> Iterator[Metric]:
        figures = self._figures
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("zapwire_build", "What runs.", build)
        yield _gauge("zapwire_uptime_seconds", "Since the daemon's start.", figures.uptime)
        yield _timing("zapwire_event_loop_lag_seconds", "How late the event loop is, twice a second.", self._stats.lag)
        yield _gauge("zapwire_websocket_clients", "WebSockets and event streams that follow the events.", self._streams)
        yield _gauge("zapwire_journal_seq", "Number of the newest event.", figures.last_seq)
        yield _timing("zapwire_store_commit_seconds", "Commits of the database.", self._stats.commits)
        yield _counter("zapwire_store_writes", "Writes in all commits.", self._stats.writes)
        alerts = {kind: kind in self._alerts for kind in KINDS}
        yield _by("zapwire_alerts", "1 while that is the matter with the daemon.", "kind", alerts, GaugeMetricFamily)
        yield _by("zapwire_bots", "Bots by state.", "state", figures.states, GaugeMetricFamily)
        yield _gauge("zapwire_bots_restricted", "Bots that WhatsApp limits.", figures.restricted)
        yield _gauge("zapwire_bots_unhealthy", "Bots that are connected and get no answer.", figures.unhealthy)

    def _process(self) -> Iterator[Metric]:
        """As prometheus_client's own collector names them, which needs descriptors when none is left."""
        used = self._figures.process
        yield _gauge("process_virtual_memory_bytes", "Address space.", used.virtual)
        yield _gauge("process_resident_memory_bytes", "Memory in use.", used.resident)
        yield _gauge("process_start_time_seconds", "When this program began, since 1970.", STARTED)
        yield _counter("process_cpu_seconds", "Processor time.", used.cpu)
        yield _gauge("process_open_fds", "Descriptors in use.", used.descriptors)
        yield _gauge("process_max_fds", "Descriptors that there may be.", used.descriptors_most)
        yield _gauge("process_threads", "Threads, the engine's own included.", used.threads)

    def _messages(self) -> Iterator[Metric]:
        figures, counters = self._figures, self._stats.counters
        received = counters.received or {"text": 0}
        yield _by("zapwire_messages_received", "Messages that came in.", "type", received, CounterMetricFamily)
        outcomes = {outcome: counters.outcomes[outcome] for outcome in _OUTCOMES}
        yield _by("zapwire_messages_out", "How far outgoing messages got.", "outcome", outcomes, CounterMetricFamily)
        yield _timing("zapwire_send_seconds", "From submission to WhatsApp's answer.", counters.send_seconds)
        yield _gauge("zapwire_outbox_messages", "Messages that are not sent yet.", figures.queued)
        yield _gauge(
            "zapwire_outbox_oldest_seconds", "Age of the message that waits longest.", figures.age(figures.oldest)
        )
        yield _counter("zapwire_reconnects", "Connections that were lost.", counters.all.reconnects)

    def _deliveries(self) -> Iterator[Metric]:
        figures = self._figures
        family = HistogramMetricFamily(
            "zapwire_webhook_delivery_seconds", "Deliveries by outcome.", labels=("outcome",)
        )
        for outcome, timing in figures.deliveries.items():
            family.add_metric((outcome,), _buckets(timing), timing.sum)
        yield family
        yield _gauge("zapwire_webhook_pending", "Deliveries under way or not begun.", figures.pending)
        queued = "Deliveries that are stored and wait for their first attempt or for a retry."
        yield _gauge("zapwire_webhook_queued", queued, figures.queued_deliveries)
        yield _gauge(
            "zapwire_webhook_dead_letters", "Deliveries that were given up and are kept.", figures.dead_letters
        )
        yield _counter("zapwire_webhook_given_up", "Deliveries that were given up.", figures.given_up)
        yield _by("zapwire_webhooks", "Webhooks by how they do.", "state", figures.webhooks, GaugeMetricFamily)

    def _pairings(self) -> Iterator[Metric]:
        pairings = self._stats.counters.pairings
        codes = {kind: pairings.codes[kind] for kind in ("qr", "text")}
        yield _by("zapwire_pairing_codes", "Codes that were shown.", "kind", codes, CounterMetricFamily)
        yield _counter("zapwire_pairing_expired", "QR codes that nobody took in time.", pairings.expired)
        yield _counter("zapwire_pairing_scans", "Codes that a phone took.", pairings.scans)
        failures = {reason: pairings.failures[reason] for reason in _PAIRING_FAILURES}
        yield _by("zapwire_pairing_failures", "Pairings that came to nothing.", "reason", failures, CounterMetricFamily)
        refused = pairings.refusals or {"refused": 0}
        yield _by("zapwire_pairing_refusals", "Pairings that were refused.", "code", refused, CounterMetricFamily)
        steps = {step: pairings.passkey_steps[step] for step in ("passkey", "phone", "compare", "linked")}
        what = "Steps of pairings with a passkey that were reached."
        yield _by("zapwire_pairing_passkey_steps", what, "step", steps, CounterMetricFamily)
        asked = "From WhatsApp's question for a passkey to the link."
        yield _timing("zapwire_pairing_passkey_seconds", asked, pairings.to_linked)
        yield _timing("zapwire_pairing_qr_seconds", "From the start to the first QR code.", pairings.to_qr)
        yield _timing("zapwire_pairing_connected_seconds", "From the scan to connected.", pairings.to_connected)

    def _engine(self) -> Iterator[Metric]:
        engine = self._figures.engine
        yield _gauge("zapwire_engine_clients", "Connections that the engine holds.", engine.clients)
        yield _counter("zapwire_engine_gate_passed", "Starts and stops of connections.", engine.gate_passed)
        yield _counter(
            "zapwire_engine_gate_waited_seconds", "What they waited for their turn, together.", engine.gate_waited
        )
        yield _gauge("zapwire_engine_pairings", "Pairings under way.", engine.pairings)
        version = engine.version
        announced = {"announced": version.announced, "newest": version.newest, "engine_built": version.engine_built}
        labels = {name: text or "" for name, text in announced.items()}
        yield InfoMetricFamily("zapwire_whatsapp_version", "Which version the bots say they are.", labels)

    def _per_bot(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily("zapwire_bot_connected", "1 while it is connected.", labels=("bot",))
        wanted = GaugeMetricFamily("zapwire_bot_wanted", "1 while it is to be connected.", labels=("bot",))
        received = CounterMetricFamily("zapwire_bot_messages_received", "Messages that came in.", labels=("bot",))
        out = CounterMetricFamily("zapwire_bot_messages_out", "Messages that went out.", labels=("bot", "outcome"))
        waiting = GaugeMetricFamily("zapwire_bot_outbox_messages", "Messages not sent yet.", labels=("bot",))
        age = GaugeMetricFamily("zapwire_bot_outbox_oldest_seconds", "Age of the oldest of them.", labels=("bot",))
        lost = CounterMetricFamily("zapwire_bot_reconnects", "Connections that were lost.", labels=("bot",))
        for bot in self._figures.bots:
            messages, queue = self._stats.messages(bot.id), self._figures.queues.get(bot.id)
            connected.add_metric((bot.id,), bot.state.value == "connected")
            wanted.add_metric((bot.id,), bot.state.value != "stopped")
            received.add_metric((bot.id,), messages.received.count)
            out.add_metric((bot.id, "sent"), messages.sent.count)
            out.add_metric((bot.id, "failed"), messages.failed)
            out.add_metric((bot.id, "unknown"), messages.unknown)
            waiting.add_metric((bot.id,), queue.count if queue else 0)
            age.add_metric((bot.id,), self._figures.age(queue))
            lost.add_metric((bot.id,), messages.reconnects)
        yield from (connected, wanted, received, out, waiting, age, lost)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, float], kind: Any) -> Metric:
    family: Metric = kind(name, text, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)  # type: ignore[attr-defined]  # of the families, not of their base
    return family


def _timing(name: str, text: str, timing: Timing) -> Metric:
    return HistogramMetricFamily(name, text, buckets=_buckets(timing), sum_value=timing.sum)


def _buckets(timing: Timing) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, count in zip((*timing.bounds, None), timing.counts, strict=True):
        total += count
        found.append(("+Inf" if bound is None else str(float(bound)), float(total)))
    return found


ROUTE = Route("GET", "/metrics", metrics, "The same for Prometheus", text="text/plain", tag="health")
