"""What all bots share."""

from __future__ import annotations

import random
from dataclasses import dataclass

from zapwire.core.bots.circuit_breaker import CircuitBreaker
from zapwire.core.bots.proxies import Proxies
from zapwire.core.messages.outbox import Outbox
from zapwire.core.tuning import Tuning
from zapwire.model.pairing import PairingOptions
from zapwire.store.ports import Store
from zapwire.transport.registry import TransportRegistry


@dataclass(frozen=True, slots=True)
class BotContext:
    """Made by the registry, and handed down to each bot, its supervisor and its connections."""

    transports: TransportRegistry
    proxies: Proxies
    database: Store
    outbox: Outbox
    circuit_breaker: CircuitBreaker
    limits: Tuning
    pairing_options: PairingOptions
    """For bots that have none of their own."""
    chance: random.Random
