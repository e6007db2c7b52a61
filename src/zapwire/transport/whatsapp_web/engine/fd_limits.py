"""Watches the file descriptors that the engine leaks (docs/engine.md's E8)."""

from __future__ import annotations

import logging
import os
import resource
import sys
from typing import Final

log = logging.getLogger(__name__)

NEARLY_USED_UP: Final = 0.8


def raise_limit() -> None:
    """Let this process have as many file descriptors as it may ask for: the usual 1,024 are enough for 150 bots."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # macOS names a hard limit that it does not grant
        log.warning("the limit of %d file descriptors cannot be raised: %s", soft, error)


def warn_if_few_are_left() -> None:
    """Log a warning when this process has few file descriptors left: only a restart of the daemon gives them back."""
    if sys.platform != "linux":
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are not looked at
    except OSError:  # not one more can be opened
        used = limit
    if used > limit * NEARLY_USED_UP:
        log.warning("%d of %d file descriptors are in use; restart the daemon or raise the limit", used, limit)
