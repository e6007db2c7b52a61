"""What a crash, or somebody else of the same user, gets to see of the process."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import ctypes, resource
from zapwire.runtime import hardening
def told():
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
hardening.refuse_core_dumps()
told()
hardening.allow_looking_in()
told()
"""


def test_no_core_and_no_look_into_the_memory() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 0 0", "1 0 0"]
