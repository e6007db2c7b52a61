"""Codes of the engine's events (neonize, goneonize/main.go), and which are asked for.

Not asked for: 8 TemporaryBan and 9 ConnectFailure, as some of their reasons cannot be encoded, which ends the event
pump (docs/engine.md's E6); `log_lines` reads them from the log.
"""

from __future__ import annotations

from typing import Final

DEVICE: Final = 0
"""Always sent first, when the dial succeeded."""
CONNECTED: Final = 3
KEEPALIVE_TIMEOUT: Final = 4
LOGGED_OUT: Final = 6
STREAM_REPLACED: Final = 7
CLIENT_OUTDATED: Final = 10
DISCONNECTED: Final = 12
MESSAGE: Final = 17
RECEIPT: Final = 18
UNDECRYPTABLE: Final = 44
"""`UndecryptableMessage`. None of its fields can be missing or unknown when it is encoded, as in those of a message."""

ENDS: Final = (LOGGED_OUT, STREAM_REPLACED, CLIENT_OUTDATED)
"""Events after which a connection does not come back; `endings.from_event` says what they mean."""

KEPT: Final = frozenset((MESSAGE, RECEIPT, UNDECRYPTABLE))
"""Events that WhatsApp tells once."""

SUBSCRIBED: Final = bytes((CONNECTED, KEEPALIVE_TIMEOUT, DISCONNECTED, MESSAGE, RECEIPT, UNDECRYPTABLE, *ENDS))
WITHOUT_RECEIPTS: Final = bytes(code for code in SUBSCRIBED if code != RECEIPT)
"""For a bot whom somebody sends receipts that end the pump (`pump_ends`)."""
