"""Keeps what this process knows in its memory: keys, tokens, messages. And what its children do after it: nothing."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


def refuse_core_dumps() -> None:
    """No core dump of this process and of those that it starts; on Linux no look into this one by others of its user.

    A crash of the engine (docs/engine.md's E1, E22) would else write all of its memory to the disk, in the clear.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _set_dumpable(0)


def allow_looking_in() -> None:
    """The reverse for the memory, just before an exec: this user's own /proc/self/environ is closed to it otherwise."""
    _set_dumpable(1)


def die_with_parent() -> None:
    """For a child: the kernel ends it when the daemon ends, however that happens."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended just before
        os._exit(1)


def _set_dumpable(value: int) -> None:
    # the limit alone does not stop a core_pattern that leads into a program (core(5), prctl(2))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, value, 0, 0, 0)
