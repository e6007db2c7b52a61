"""`GET /v1/stats`: the figures as JSON, in total and for each bot."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from zapwire import __version__
from zapwire.api.answers import answer
from zapwire.api.inputs import Words
from zapwire.api.keys import CORE
from zapwire.api.streams import STREAMS
from zapwire.core.codec import timestamp
from zapwire.core.stats import Figures, Stats
from zapwire.core.tally import Messages
from zapwire.measures import Rate, Timing
from zapwire.model import BotView

BOTS = Words("bots", "Only these bots, separated by commas; the totals are of all.")


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
                "parked": figures.parked,
                "dead_letters": figures.dead_letters,
                "given_up": figures.given_up,
                "states": dict(figures.webhooks),
            },
            "pairing": _pairing(source),
            "total": {
                "states": figures.states,
                "restricted": figures.restricted,
                "unhealthy": figures.unhealthy,
                **_messages(source.tally.all),
                "send": _timing(source.tally.send_seconds),
                "queued": figures.queued,
                "oldest_queued": round(figures.age(figures.oldest), 1),
            },
            "bots": [_bot(bot, figures, source) for bot in bots],
        }
    )


def _process(figures: Figures, stats: Stats) -> dict[str, Any]:
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


def _pairing(stats: Stats) -> dict[str, Any]:
    pairings = stats.tally.pairings
    return {
        "codes": dict(pairings.codes),
        "scans": pairings.scans,
        "failures": dict(pairings.failures),
        "to_qr": _timing(pairings.to_qr),
        "to_connected": _timing(pairings.to_connected),
    }


def _bot(bot: BotView, figures: Figures, stats: Stats) -> dict[str, Any]:
    queue = figures.queues.get(bot.id)
    return {
        "id": bot.id,
        "state": bot.state.value,
        "since": timestamp(bot.since),
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
