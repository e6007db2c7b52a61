"""What all bots of a fleet share."""

from __future__ import annotations

import random
from dataclasses import dataclass

from zapwire.core.breaker import Breaker
from zapwire.core.limits import Limits
from zapwire.core.sender import Sender
from zapwire.store.db import Database
from zapwire.transport.base import TransportFactory


@dataclass(frozen=True, slots=True)
class Means:
    """Made by the fleet, and handed down to each bot, its supervisor and its connections."""

    transports: TransportFactory
    database: Database
    sender: Sender
    breaker: Breaker
    limits: Limits
    chance: random.Random
