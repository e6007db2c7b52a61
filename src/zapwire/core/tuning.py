"""The core's numbers, each with what it bounds. Seconds unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from zapwire.model.content.interactive import Fallback
from zapwire.model.pacing import PacingOptions


@dataclass(frozen=True, slots=True)
class Tuning:
    """Tests and benchmarks give their own; the defaults are for a real WhatsApp."""

    backoff_first: float = 1.0
    """Before the first new attempt to connect; doubled from there."""
    backoff_most: float = 300.0
    jitter: float = 0.2
    """Share by which each delay varies up and down, so that many bots do not come back in one moment."""
    alike: int = 5
    """Bots that fail alike within `alike_within`, without any of them succeeding: from then on one tries for all."""
    alike_within: float = 120.0
    spread: float = 10.0
    """Over which time they come back once that one has succeeded."""

    probe_interval: float = 60.0
    """Between two questions to WhatsApp on a connection over which nothing comes in."""
    probe_again: float = 15.0
    """The same after a probe that was not answered."""
    unhealthy_after: int = 2
    """Unanswered probes until `bot.unhealthy` is emitted."""
    silent_after: int = 3
    """Unanswered probes until the connection is given up and made again."""
    silent_rounds: int = 3
    """Connections in a row that log in and then answer nothing, until a person is called."""
    silent_rest: float = 900.0
    """How long a bot waits after that before it retries by itself."""

    good_connection: float = 60.0
    """A connection that lasted this long makes the next failure the first one again."""
    starts_per_minute: int = 10
    """How often a person may start or renew a bot's connection: WhatsApp bans numbers that hammer it."""
    logout_time: float = 20.0
    """For one attempt to tell WhatsApp that a device is removed."""
    logout_kept: float = 7 * 24 * 3600.0
    """For how long that is attempted; then the local state is destroyed although the phone still lists the device."""
    move_time: float = 90.0
    """How long an export waits for the end of the bot's connection."""
    pairing_wait: float = 30.0
    """How long a request for a pairing code waits until a pairing is under way."""

    queued_per_bot: int = 10_000
    """Messages waiting for one bot; a caller beyond that is refused and may retry later."""
    sends_at_once: int = 4
    """Chats of one bot that are sent to at the same time."""
    send_time: float = 90.0
    """For one message's answer from WhatsApp (the engine gives up after 75); beyond it nobody knows."""
    send_again: float = 1.0
    """Until a message is retried that the transport had no connection for; after each failure twice as long."""
    send_attempts: int = 5
    """Failures of the network after which a message is failed."""
    keep_media: float = 30 * 86_400.0
    """How long files are kept that nobody wants."""
    media_quota: int = 10 << 30
    """Bytes of all files together."""
    list_fallback: Fallback = "text"
    """What stands in for lists and buttons where the network shows none."""
    send_lifetime: float = 24 * 3600.0
    """How long a message waits for its bot before it is failed: late answers help nobody."""
    ignore: tuple[str, ...] = ()
    """Messages that bots without rules of their own do not want: see `model/ignoring.py`."""
    pacing: PacingOptions = PacingOptions(warm_up=False)  # noqa: RUF009 - it cannot be changed
    """Of bots without options of their own; the daemon's setting is to warm up."""
    strangers_first: float = 1800.0
    """How long first messages to new chats wait after WhatsApp refused one (463); doubled each time it does again."""
    strangers_most: float = 6 * 3600.0
    rate_first: float = 30.0
    """The same for all messages after "too many" (429)."""
    rate_most: float = 900.0
    reply_after: float = 0.05
    """Least time between a message from a chat and one to it: see engine hazard E12 in
    `core/messages/pacing/reply_spacing.py`.
    """
    lively_chat: float = 1.0
    """For this long after a message from a chat, messages to it keep `reply_after` between each other."""
    reply_at_most: float = 0.5
    """Longest delay by those two rules: a chat that never pauses is answered all the same."""

    webhook_schedule: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    """Delays after each failed delivery, the standard's own; after the last the event is a dead letter (75 hours)."""
    webhook_posts: int = 500
    """Deliveries to all endpoints at the same time, of which each has an equal share, one at least."""
    webhook_window: int = 512
    """Events of one endpoint in memory; beyond it the journal is not read on."""
    webhook_chunk: int = 32
    """Stored deliveries of one chat that are made before another chat has its turn."""
    webhook_failing: float = 5 * 24 * 3600.0
    """An endpoint that has taken nothing for this long is disabled."""
    webhook_streak: int = 100
    """Failures without a success until new events wait for single attempts: `core/webhooks/endpoint_health.py`."""
    webhook_probe_first: float = 1.0
    """Until the first attempt after an endpoint became unreachable; doubled from there."""
    webhook_probe_most: float = 30.0
    """The longest time between two such attempts, unless it asked for more (`Retry-After`)."""
    webhook_absence: float = 10.0
    """Failures of several chats for less than this are no outage, if the receiver could be reached."""
    webhook_drain: float = 5.0
    """Deliveries under way get this long to end when the daemon stops; then they are made again at the next start."""
    retry_after_most: float = 3600.0
    """The longest `Retry-After` of an endpoint that is obeyed."""
    replayed_at_once: int = 10_000
    """Deliveries that one call queues again."""
    cursor_saved: float = 0.1
    """How far the stored cursor may lag; after a crash these deliveries are repeated with the same ids."""

    store_again: float = 1.0
    """Between two tries to store what happened, while the database fails (a full disk)."""
    store_patience: float = 60.0
    """How long a connection is held up by that before it is given up and made again."""

    keep_events: float = 7 * 24 * 3600.0
    """The journal, and deliveries; also what an endpoint still waits for, which is then told of it."""
    keep_messages: float = 90 * 24 * 3600.0
    """Received messages, by which repeats are known; ended outgoing ones with their idempotency keys; dead letters."""
    housekeeping: float = 600.0
    """Between two prunings."""
    prune_pause: float = 0.02
    """Between two steps of one pruning: whatever else is to be written comes first."""
