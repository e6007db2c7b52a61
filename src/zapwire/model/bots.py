"""Bots: what they are, what they do, and what is kept about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from zapwire.model.errors import Condition
from zapwire.model.pairing import DEFAULTS, PairingOptions, PairingStage
from zapwire.model.proxy import Proxy

BotId = NewType("BotId", str)
"""A slug, `[a-z0-9][a-z0-9-]{0,62}`; never used as a path without that check."""


NO_BOT: Final = BotId("")
"""Whom an event concerns that is about no bot; outside it is shown as null."""


class TransportKind(StrEnum):
    """A network that bots can be connected to."""

    WHATSAPP_WEB = "whatsapp_web"
    """A linked device of an account, as WhatsApp Web is one."""


class BotState(StrEnum):
    """What a bot is doing, as a user sees it."""

    STOPPED = "stopped"
    """Nobody wants it connected."""
    STARTING = "starting"
    """On its way to a QR code or to a connection."""
    PAIRING = "pairing"
    """Is being linked: waits for a phone, or for the account's passkey."""
    PAIRING_TIMED_OUT = "pairing_timed_out"
    """Nobody scanned; a connect or a QR refresh starts over."""
    CONNECTED = "connected"
    """Linked, online, sending and receiving."""
    RECONNECTING = "reconnecting"
    """Lost or could not reach WhatsApp; retries by itself, `reason` says when."""
    LOGGED_OUT = "logged_out"
    """The phone removed this device; pair again."""
    BLOCKED = "blocked"
    """WhatsApp refuses it; a person has to act."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The account a bot is linked to."""

    phone: str | None = None
    lid: str | None = None
    push_name: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Does WhatsApp answer on a bot's connection."""

    healthy: bool
    """Connected, and something came in or was answered lately; silence is never healthy."""
    last_seen: datetime | None
    """When something last came in: a message, a receipt, the answer to a send or to a probe."""
    probe_failures: int
    """Probes in a row that were not answered."""
    last_answer: datetime | None
    """When the last probe was answered."""
    round_trip: float | None
    """Seconds that answer took."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A limit that WhatsApp put on an account."""

    kind: str
    """`first-messages` (463: no new chats), `rate` (429: no messages at all), or the code of a halted bot's state."""
    reason: str
    since: datetime
    until: datetime | None
    """When it is retried; None: not by itself."""
    error: int | None = None
    """WhatsApp's error number, if it gave one."""


@dataclass(frozen=True, slots=True)
class BotView:
    """A bot as the API shows it."""

    id: BotId
    name: str
    autostart: bool
    state: BotState
    reason: str | None
    since: datetime
    action: str | None
    """What a person should do next, in plain words; null when nothing."""
    next_attempt_at: datetime | None
    identity: Identity = field(default_factory=Identity)
    created_at: datetime | None = None
    code: str | None = None
    """What is the matter, for programs (`errors.Condition`); None when nothing is."""
    restriction: Restriction | None = None
    proxy: str | None = None
    """The URL of the bot's own proxy, without its password."""
    default_country: str | None = None
    """ISO 3166, in which numbers without a country code are dialled; None: that of the daemon, if it has one."""
    pairing_options: PairingOptions = DEFAULTS
    """Its own; the settings say the rest."""
    ignore: tuple[str, ...] | None = None
    """Which messages it does not want, see `model/ignoring.py`; None: as the settings say."""
    transport: TransportKind = TransportKind.WHATSAPP_WEB
    actions: tuple[str, ...] = ()
    """What makes sense to ask of it now: see `core/bots/actions.py`."""
    pairing: PairingStage | None = None
    """How far its pairing is; None when none is under way."""
    health: Health | None = field(default=None, compare=False)
    """None while nobody wants it connected, or before it ever was; no part of what makes two views differ."""


class Wanted(StrEnum):
    """What a person last asked for."""

    CONNECTED = "connected"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Halt:
    """A state that outlives the daemon, because only a person can end it, or time."""

    state: BotState
    reason: str
    action: str
    since: datetime
    code: str | None = None
    until: datetime | None = None
    """From then on the bot retries by itself; None: only a person ends it."""


@dataclass(frozen=True, slots=True)
class BotRow:
    """One bot."""

    id: BotId
    name: str
    autostart: bool
    created_at: datetime
    wanted: Wanted | None = None
    """None: nobody said; `autostart` decides."""
    identity: Identity = field(default_factory=Identity)
    halt: Halt | None = None
    unlinking: datetime | None = None
    """Since when a logout is wanted that is not done yet."""
    restriction: Restriction | None = None
    """The limit on its sending that WhatsApp told last, until it is over."""
    proxy: Proxy | None = None
    """What it connects through; None: the way that all bots take."""
    default_country: str | None = None
    """ISO 3166, in which numbers without a country code are dialled; None: that of the daemon, if it has one."""
    pairing_options: PairingOptions = DEFAULTS
    """Its own; the settings say the rest."""
    ignore: tuple[str, ...] | None = None
    """Which messages it does not want, see `model/ignoring.py`; None: as the settings say."""
    transport: TransportKind = TransportKind.WHATSAPP_WEB
    """Never changes."""
    damaged: tuple[str, ...] = ()
    """Columns of its row that do not open. Such a bot is halted: without its proxy, say, it must not connect."""

    @property
    def linked(self) -> bool:
        """Is it a device of an account?"""
        return self.identity.phone is not None or self.identity.lid is not None

    @property
    def moved(self) -> bool:
        """Did it leave for another installation?"""
        return self.halt is not None and self.halt.code == Condition.MOVED

    @property
    def starts(self) -> bool:
        """Is it to be connected when the daemon starts, or once its halt is over?"""
        if self.halt is not None and self.halt.until is None:
            return False
        return self.autostart if self.wanted is None else self.wanted is Wanted.CONNECTED


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A state that a bot was in, from *since* until the next entry's."""

    id: int
    """Grows; the cursor of pages."""
    state: str
    code: str | None
    reason: str | None
    action: str | None
    since: datetime
    repeated: int
    """How often the same was told again: attempts that failed alike."""
    last_at: datetime
    """When it was last reported."""
