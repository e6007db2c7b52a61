"""What the child may still do: little from the start, next to nothing once its libraries are loaded."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import sysconfig
from pathlib import Path
from typing import Final

from zapwire.media_tools.child import landlock, seccomp
from zapwire.media_tools.limits import Limits
from zapwire.runtime.hardening import die_with_parent, refuse_core_dumps

_FONTS: Final = ("/usr/share/fonts", "/usr/local/share/fonts")
"""For PDFs that do not bring their own."""
_LIBRARIES: Final = ("av", "PIL", "pi_heif", "pypdfium2")
_FIRST_VICTIM: Final = b"1000"
_NICE: Final = 5


def limit(limits: Limits) -> None:
    """Before anything of the file is read: memory, time, descriptors, the size of what is written."""
    die_with_parent()
    refuse_core_dumps()
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    # the signal at the soft limit ends it; the hard one is for whoever would catch that signal
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu, limits.cpu + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.descriptors, limits.descriptors))
    # a little more than is taken, so that the work itself notices first
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * limits.output + 65536,) * 2)
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # when memory runs out, the kernel is to take this one and not the daemon
        Path("/proc/self/oom_score_adj").write_bytes(_FIRST_VICTIM)


def close() -> None:
    """Once all is imported: no network, no programs, no other process, and no files but modules of Python and fonts.

    Decoders of hostile files run in here, as the user whose daemon keeps keys in its files.
    """
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    landlock.read_only([*_pythons_own(), *_FONTS])
    seccomp.deny()


def _pythons_own() -> set[str]:
    """Where Python's modules are and those of the libraries, some of which import others only when they need them."""
    paths = sysconfig.get_paths()
    loaded = (sys.modules.get(name) for name in (*_LIBRARIES, "zapwire"))
    files = (Path(module.__file__) for module in loaded if module is not None and module.__file__)
    return {paths["stdlib"], paths["platstdlib"], *(str(file.parents[1]) for file in files)}
