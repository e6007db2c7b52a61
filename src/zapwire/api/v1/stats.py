"""`GET /v1/stats`: the figures as JSON, in total and for each bot."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from zapwire import __version__
from zapwire.api.http.context import CORE
from zapwire.api.http.requests import WordsParameter
from zapwire.api.http.responses import answer
from zapwire.api.streaming.common import STREAMS
from zapwire.core.events.serializers import timestamp
from zapwire.core.monitoring.counters import Messages
from zapwire.core.monitoring.snapshot import Snapshot, StatsCollector
from zapwire.model.bots import BotView
from zapwire.runtime.instruments import Rate, Timing

BOTS = WordsParameter("bots", "Only these bots, separated by commas; the totals are of all.")


async def stats(request: web.Request) -> web.Response:
    """`GET /v1/stats`."""
    source = request.app[CORE].stats
    wanted = BOTS.read(request)
    figures = await source.take()
    bots = [bot for bot in figures.bots if wanted is None or bot.id in wanted]
    return answer(
        {
            "at": timestamp(figures.at),
            "version": __version__,
            "uptime": round(figures.uptime, 1),
            "process": _process(figures, source),
            "engine": {
                "clients": figures.engine.clients,
                "gate_passed": figures.engine.gate_passed,
                "gate_waited": round(figures.engine.gate_waited, 3),
                "pairings": figures.engine.pairings,
                "version": asdict(figures.engine.version),
            },
            "store": {
                "last_seq": figures.last_seq,
                "writes": source.writes,
                "commits": _timing(source.commits),
            },
            "streams": len(request.app[STREAMS]),
            "webhooks": {
                "deliveries": {outcome: _timing(timing) for outcome, timing in figures.deliveries.items()},
                "pending": figures.pending,
                "queued": figures.queued_deliveries,
                "dead_letters": figures.dead_letters,
                "given_up": figures.given_up,
                "states": dict(figures.webhooks),
            },
            "pairing": _pairing(source),
            "total": {
                "states": figures.states,
                "restricted": figures.restricted,
                "unhealthy": figures.unhealthy,
                **_messages(source.counters.all),
                "send": _timing(source.counters.send_seconds),
                "queued": figures.queued,
                "oldest_queued": round(figures.age(figures.oldest), 1),
            },
            "bots": [_bot(bot, figures, source) for bot in bots],
        }
    )


def _process(figures: Snapshot, stats: StatsCollector) -> dict[str, Any]:
    process, clients = figures.process, figures.engine.clients
    return {
        "resident": process.resident,
        "resident_per_client": process.resident // clients if clients else None,
        "cpu": round(process.cpu, 2),
        "descriptors": process.descriptors,
        "descriptors_most": process.descriptors_most,
        "threads": process.threads,
        "loop_lag": _timing(stats.lag),
    }


def _pairing(stats: StatsCollector) -> dict[str, Any]:
    pairings = stats.counters.pairings
    return {
        "codes": dict(pairings.codes),
        "expired": pairings.expired,
        "scans": pairings.scans,
        "failures": dict(pairings.failures),
        "refusals": dict(pairings.refusals),
        "passkey_steps": dict(pairings.passkey_steps),
        "to_qr": _timing(pairings.to_qr),
        "to_connected": _timing(pairings.to_connected),
        "to_linked": _timing(pairings.to_linked),
    }


def _bot(bot: BotView, figures: Snapshot, stats: StatsCollector) -> dict[str, Any]:
    queue = figures.queues.get(bot.id)
    return {
        "id": bot.id,
        "state": bot.state.value,
        "state_since": timestamp(bot.since),
        **_messages(stats.messages(bot.id)),
        "queued": queue.count if queue else 0,
        "oldest_queued": round(figures.age(queue), 1),
    }


def _messages(messages: Messages) -> dict[str, Any]:
    return {
        "received": _rate(messages.received),
        "sent": _rate(messages.sent),
        "failed": messages.failed,
        "unknown": messages.unknown,
        "reconnects": messages.reconnects,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    one, five, fifteen = (round(value, 4) for value in rate.per_second())
    return {"count": rate.count, "per_second": {"1m": one, "5m": five, "15m": fifteen}}


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "count": timing.count,
        "mean": timing.sum / timing.count if timing.count else None,
        "p50": timing.quantile(0.5),
        "p99": timing.quantile(0.99),
    }
