"""Codes of the engine's events (neonize, goneonize/main.go), and which are asked for.

Not asked for: 5 KeepAliveRestored, 7 StreamReplaced, 10 ClientOutdated, as their empty messages crash the event pump;
8 TemporaryBan and 9 ConnectFailure, as some reasons cannot be encoded, which ends it. `conditions` reads log lines
instead."""

from __future__ import annotations

from typing import Final

DEVICE: Final = 0
"""Always sent first, when the dial succeeded."""
CONNECTED: Final = 3
KEEPALIVE_TIMEOUT: Final = 4
LOGGED_OUT: Final = 6
DISCONNECTED: Final = 12
MESSAGE: Final = 17
RECEIPT: Final = 18

SUBSCRIBED: Final = bytes((CONNECTED, KEEPALIVE_TIMEOUT, LOGGED_OUT, DISCONNECTED, MESSAGE, RECEIPT))
