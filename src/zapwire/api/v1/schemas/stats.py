"""The JSON of `GET /v1/stats` as pydantic models, for the OpenAPI document; a test holds the answers against it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from zapwire.api.http.models import Timestamp
from zapwire.model.bots import BotState


class _Figures(BaseModel):
    """Exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Timing(_Figures):
    """How long something takes; seconds, estimated from a histogram. null while nothing was measured."""

    count: int
    mean: float | None
    p50: float | None
    p99: float | None


class PerSecond(_Figures):
    """Exponentially damped rates, as the load averages of Unix."""

    m1: float = Field(alias="1m")
    m5: float = Field(alias="5m")
    m15: float = Field(alias="15m")


class Rate(_Figures):
    """How many since the daemon's start, and how many a second lately."""

    count: int
    per_second: PerSecond


class MessageStats(_Figures):
    """What went in and out since the daemon's start, and what waits."""

    received: Rate
    sent: Rate = Field(description="Taken by WhatsApp.")
    failed: int
    unknown: int
    reconnects: int = Field(description="Connections that were lost.")
    queued: int = Field(description="Messages that are not sent yet.")
    oldest_queued: float = Field(
        description="Seconds since the one was submitted that waits longest; 0 when none does."
    )


class BotStats(MessageStats):
    """One bot's figures."""

    id: str
    state: BotState
    state_since: Timestamp


class TotalStats(MessageStats):
    """All bots' figures."""

    states: dict[BotState, int]
    restricted: int = Field(description="Bots that WhatsApp limits now.")
    unhealthy: int = Field(description="Bots that are connected and get no answer.")
    send: Timing = Field(description="From submission to WhatsApp's answer.")


class ProcessStats(_Figures):
    """What the process uses; 0 where the system does not tell."""

    resident: int = Field(description="Bytes of memory (RSS).")
    resident_per_client: int | None = Field(description="That, divided by the engine's connections.")
    cpu: float = Field(description="Seconds of processor time.")
    descriptors: int
    descriptors_most: int
    threads: int
    loop_lag: Timing


class VersionStats(_Figures):
    """Which version of WhatsApp Web the bots say they are."""

    announced: str | None = Field(description="Like `2.3000.1047769893`; null when the engine does not show it.")
    newest: str | None = Field(description="The newest that is known; null when nobody has asked (`whatsapp_version`).")
    problem: str | None = Field(description="Why the newest is not known or not announced.")
    follows: bool = Field(description="A newer one is announced as soon as it is known.")
    engine_built: str | None = Field(description="The day of the engine's newest source.")


class EngineStats(_Figures):
    """What the engine does for all bots."""

    clients: int = Field(description="Connections that it holds.")
    gate_passed: int = Field(description="Starts and stops of connections.")
    gate_waited: float = Field(description="Seconds that they waited for their turn, together.")
    pairings: int = Field(description="Pairings under way.")
    version: VersionStats


class StoreStats(_Figures):
    """The daemon's database."""

    last_seq: int = Field(description="The newest event.")
    writes: int
    commits: Timing


class DeliveryStats(_Figures):
    """Deliveries by what came of them."""

    delivered: Timing
    failed: Timing


class WebhookStats(_Figures):
    """Webhooks."""

    deliveries: DeliveryStats
    pending: int = Field(description="Deliveries under way or not begun.")
    queued: int = Field(description="Deliveries that are stored and wait for their first attempt or for a retry.")
    dead_letters: int = Field(description="Deliveries that were given up and are kept.")
    given_up: int = Field(description="Deliveries that were given up since the daemon's start.")
    states: dict[str, int] = Field(
        description="Webhooks by how they do: `working`, `failing`, `unreachable`, `paused`, `disabled`."
    )


class PairingStats(_Figures):
    """Linking phones."""

    codes: dict[str, int] = Field(description="Codes shown, by kind: `qr` or `text`.")
    expired: int = Field(description="QR codes that nobody took in time.")
    scans: int
    failures: dict[str, int] = Field(description="By reason: `timed_out`, `cancelled`, `interrupted`, `refused`.")
    refusals: dict[str, int] = Field(description="Those that were refused, by the `code` of the bot.")
    passkey_steps: dict[str, int] = Field(
        description="Steps with a passkey that were reached: `passkey`, `phone`, `compare`, and `linked` at the end."
    )
    to_qr: Timing = Field(description="From the start to the first QR code.")
    to_connected: Timing = Field(description="From the scan to connected.")
    to_linked: Timing = Field(description="From WhatsApp's question for a passkey to the link.")


class Stats(_Figures):
    """Figures since the daemon's start."""

    at: Timestamp
    version: str
    uptime: float
    process: ProcessStats
    engine: EngineStats
    store: StoreStats
    streams: int = Field(description="WebSockets and event streams that follow the events.")
    webhooks: WebhookStats
    pairing: PairingStats
    total: TotalStats
    bots: list[BotStats]
