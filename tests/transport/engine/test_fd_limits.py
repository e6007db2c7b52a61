"""The limit of file descriptors is raised; in a process of its own, as nothing takes that back."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from zapwire.transport.whatsapp_web.engine.fd_limits import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
"""


def test_the_soft_limit_becomes_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"
