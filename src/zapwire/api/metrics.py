"""`GET /metrics`: the figures in Prometheus' format; docs/metrics.md lists them.

Nothing is kept here: each scrape makes the series from what the layers below have counted. Bots get series of their own
only while there are few of them (setting `metrics_per_bot`), as each is one more for Prometheus to keep for weeks.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
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
from zapwire.api.keys import CORE, SETTINGS
from zapwire.api.streams import STREAMS
from zapwire.core.stats import Figures, Stats
from zapwire.measures import Timing

_OUTCOMES: Final = ("sent", "delivered", "read", "played", "failed", "unknown")
_PAIRING_FAILURES: Final = ("timed_out", "cancelled", "interrupted", "refused")


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`."""
    stats = request.app[CORE].stats
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    most = request.app[SETTINGS].metrics_per_bot
    registry.register(Exporter(stats, await stats.take(), streams=len(request.app[STREAMS]), most=most))
    encode, media = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(registry), headers={"Content-Type": media})


class Exporter(Collector):
    """Makes the series of one scrape."""

    def __init__(self, stats: Stats, figures: Figures, *, streams: int, most: int) -> None:
        self._stats = stats
        self._figures = figures
        self._streams = streams
        self._most = most

    def collect(self) -> Iterator[Metric]:
        """All series; see docs/metrics.md."""
        yield from self._daemon()
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
        yield _gauge("process_threads", "Threads, the engine's own included.", figures.process.threads)
        yield _timing("zapwire_event_loop_lag_seconds", "How late the event loop is, twice a second.", self._stats.lag)
        yield _gauge("zapwire_websocket_clients", "WebSockets and event streams that follow the events.", self._streams)
        yield _gauge("zapwire_journal_seq", "Number of the newest event.", figures.last_seq)
        yield _timing("zapwire_store_commit_seconds", "Commits of the database.", self._stats.commits)
        yield _counter("zapwire_store_writes", "Writes in all commits.", self._stats.writes)
        yield _by("zapwire_bots", "Bots by state.", "state", figures.states, GaugeMetricFamily)

    def _messages(self) -> Iterator[Metric]:
        figures, tally = self._figures, self._stats.tally
        received = tally.received or {"text": 0}
        yield _by("zapwire_messages_received", "Messages that came in.", "type", received, CounterMetricFamily)
        outcomes = {outcome: tally.outcomes[outcome] for outcome in _OUTCOMES}
        yield _by("zapwire_messages_out", "How far outgoing messages got.", "outcome", outcomes, CounterMetricFamily)
        yield _timing("zapwire_send_seconds", "From submission to WhatsApp's answer.", tally.send_seconds)
        yield _gauge("zapwire_outbox_messages", "Messages that are not sent yet.", figures.queued)
        yield _gauge(
            "zapwire_outbox_oldest_seconds", "Age of the message that waits longest.", figures.age(figures.oldest)
        )
        yield _counter("zapwire_reconnects", "Connections that were lost.", tally.all.reconnects)

    def _deliveries(self) -> Iterator[Metric]:
        figures = self._figures
        family = HistogramMetricFamily(
            "zapwire_webhook_delivery_seconds", "Deliveries by outcome.", labels=("outcome",)
        )
        for outcome, timing in figures.deliveries.items():
            family.add_metric((outcome,), _buckets(timing), timing.sum)
        yield family
        yield _gauge("zapwire_webhook_pending", "Deliveries under way or not begun.", figures.pending)
        parked = "Deliveries that are stored and wait for an attempt, their first or another."
        yield _gauge("zapwire_webhook_parked", parked, figures.parked)
        yield _gauge("zapwire_webhook_dead_letters", "Deliveries that were given up.", figures.dead_letters)
        yield _gauge("zapwire_webhook_unreachable", "Webhooks that cannot be reached.", figures.unreachable)

    def _pairings(self) -> Iterator[Metric]:
        pairings = self._stats.tally.pairings
        codes = {kind: pairings.codes[kind] for kind in ("qr", "text")}
        yield _by("zapwire_pairing_codes", "Codes that were shown.", "kind", codes, CounterMetricFamily)
        yield _counter("zapwire_pairing_scans", "Codes that a phone took.", pairings.scans)
        failures = {reason: pairings.failures[reason] for reason in _PAIRING_FAILURES}
        yield _by("zapwire_pairing_failures", "Pairings that came to nothing.", "reason", failures, CounterMetricFamily)
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

    def _per_bot(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily("zapwire_bot_connected", "1 while it is connected.", labels=("bot",))
        received = CounterMetricFamily("zapwire_bot_messages_received", "Messages that came in.", labels=("bot",))
        out = CounterMetricFamily("zapwire_bot_messages_out", "Messages that went out.", labels=("bot", "outcome"))
        waiting = GaugeMetricFamily("zapwire_bot_outbox_messages", "Messages not sent yet.", labels=("bot",))
        age = GaugeMetricFamily("zapwire_bot_outbox_oldest_seconds", "Age of the oldest of them.", labels=("bot",))
        lost = CounterMetricFamily("zapwire_bot_reconnects", "Connections that were lost.", labels=("bot",))
        for bot in self._figures.bots:
            messages, queue = self._stats.messages(bot.id), self._figures.queues.get(bot.id)
            connected.add_metric((bot.id,), bot.state.value == "connected")
            received.add_metric((bot.id,), messages.received.count)
            out.add_metric((bot.id, "sent"), messages.sent.count)
            out.add_metric((bot.id, "failed"), messages.failed)
            out.add_metric((bot.id, "unknown"), messages.unknown)
            waiting.add_metric((bot.id,), queue.count if queue else 0)
            age.add_metric((bot.id,), self._figures.age(queue))
            lost.add_metric((bot.id,), messages.reconnects)
        yield from (connected, received, out, waiting, age, lost)


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
