"""`python -m tests.harness.filtered MODULE ARGS`: runs that program with no other system calls than those of the file
that SYSTEM_CALLS names, as systemd's SystemCallFilter does; all others give EPERM.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def main() -> None:
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    for name in Path(os.environ["SYSTEM_CALLS"]).read_text().split():
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # else it is of another machine
            assert seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None) == 0, name
    assert seccomp.seccomp_load(context) == 0
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])


if __name__ == "__main__":
    main()
