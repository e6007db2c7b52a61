"""What systemd is told, when it started us with Type=notify (sd_notify(3), sd_watchdog_enabled(3))."""

from __future__ import annotations

import logging
import os
import socket
from functools import cache

logger = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Tell systemd `READY=1`, `WATCHDOG=1` and the like; does nothing without systemd."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    try:
        _socket().sendto(state.encode(), "\0" + place[1:] if place.startswith("@") else place)
    except OSError as error:
        logger.warning("systemd cannot be told %r: %s", state, error)


@cache
def _socket() -> socket.socket:
    """Kept: a daemon without a descriptor to spare is alive, and has to be able to say so."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


def watchdog_seconds() -> float | None:
    """After how many seconds without `WATCHDOG=1` systemd ends this process; None when it does not watch."""
    micros, owner = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not micros.isdigit() or int(micros) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(micros) / 1e6
