"""What makes sense to ask of a bot in its present state, for whoever shows buttons.

Derived, and no more than a hint: an order that is not listed may be accepted all the same, and one that is listed may
be refused a moment later. Named like the end of the call's path.
"""

from __future__ import annotations

from typing import Final

from zapwire.core.bots.status import Status
from zapwire.model.bots import BotRow, BotState
from zapwire.model.errors import Condition
from zapwire.model.pairing import PairingStep

CONNECT: Final = "connect"
DISCONNECT: Final = "disconnect"
RESTART: Final = "restart"
LOGOUT: Final = "logout"
REFRESH_QR: Final = "refresh-qr"
PAIRING_CODE: Final = "pairing-code"
PASSKEY: Final = "passkey"
PASSKEY_CONFIRM: Final = "passkey-confirm"
EXPORT: Final = "export"
DELETE: Final = "delete"

ALL: Final = (CONNECT, DISCONNECT, RESTART, LOGOUT, REFRESH_QR, PAIRING_CODE, PASSKEY, PASSKEY_CONFIRM, EXPORT, DELETE)

_ONLY_DELETE: Final = frozenset({Condition.MOVED, Condition.IMPORTING, Condition.ROW_DAMAGED})
_FUTILE: Final = frozenset({Condition.OUTDATED})
"""What another attempt of this program cannot change."""
_WITHOUT_AUTH: Final = frozenset({Condition.AUTH_DAMAGED, Condition.AUTH_MISSING, Condition.AUTH_FOREIGN})

_BY_STATE: Final[dict[BotState, tuple[str, ...]]] = {
    BotState.STOPPED: (CONNECT,),
    BotState.STARTING: (DISCONNECT, RESTART),
    BotState.PAIRING: (DISCONNECT, RESTART, REFRESH_QR),
    BotState.PAIRING_TIMED_OUT: (CONNECT, REFRESH_QR),
    BotState.CONNECTED: (DISCONNECT, RESTART),
    BotState.RECONNECTING: (DISCONNECT, RESTART),
    BotState.LOGGED_OUT: (CONNECT,),
    BotState.BLOCKED: (CONNECT, DISCONNECT),
}

_BY_STEP: Final[dict[PairingStep, tuple[str, ...]]] = {
    PairingStep.SCAN: (PAIRING_CODE,),
    PairingStep.PASSKEY: (PASSKEY,),
    PairingStep.PHONE: (PASSKEY_CONFIRM,),  # to say that the phone shows another code
    PairingStep.COMPARE: (PASSKEY_CONFIRM,),
}


def possible(row: BotRow, status: Status) -> tuple[str, ...]:
    """The orders, in the order of `ALL`."""
    if status.code in _ONLY_DELETE:
        return (DELETE,)
    found = {*_BY_STATE[status.state], DELETE}
    if status.pairing is not None:
        found.update(_BY_STEP[status.pairing.step])
    if row.linked:
        found |= {LOGOUT} if status.code in _WITHOUT_AUTH or row.unlinking else {LOGOUT, EXPORT}
    waits = status.state is BotState.BLOCKED and status.next_attempt_at is not None
    if waits or status.code in _FUTILE:  # the end of a ban comes by itself
        found.discard(CONNECT)
    if status.state is BotState.RECONNECTING and status.next_attempt_at is not None:
        found.add(CONNECT)  # now instead of then
    if status.code == Condition.LOGGING_OUT:
        found -= {CONNECT, DISCONNECT, RESTART}
    if status.code == Condition.AUTH_FOREIGN:  # that would destroy what belongs to another bot
        found -= {LOGOUT, DELETE}
    return tuple(action for action in ALL if action in found)
