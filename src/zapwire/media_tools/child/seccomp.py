"""Calls to the kernel that a decoder never needs are refused (seccomp(2)): network, programs, other processes."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

_NO_NEW_PRIVS: Final = 38
_SET_SECCOMP: Final = 22
_FILTER: Final = 2

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06

_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_X32: Final = 0x40000000
_CLONE_THREAD: Final = 0x10000


def _refuse(error: int) -> int:
    return 0x50000 | error


@dataclass(frozen=True)
class _Machine:
    audit: int
    clone: int
    denied: tuple[int, ...]


# socket, socketpair, execve, execveat, fork, vfork, ptrace, process_vm_readv, process_vm_writev, kill, bpf, unshare,
# setns, mount, perf_event_open, userfaultfd, add_key, request_key, keyctl, prlimit64, shmget, shmat, mq_open
_X86_64: Final = _Machine(
    0xC000003E, 56,
    (41, 53, 59, 322, 57, 58, 101, 310, 311, 62, 321, 272, 308, 165, 298, 323, 248, 249, 250, 302, 29, 30, 240),
)  # fmt: skip
_ARM64: Final = _Machine(
    0xC00000B7, 220,
    (198, 199, 221, 281, 117, 270, 271, 129, 280, 97, 268, 40, 241, 282, 217, 218, 219, 261, 194, 196, 180),
)  # fmt: skip
_BOTH: Final = (424, 425, 426, 427, 428, 429, 430, 431, 432, 434, 438)
"""pidfd_send_signal, io_uring, the new mount calls, pidfd_open, pidfd_getfd: everywhere the same."""
_CLONE3: Final = 435
_MACHINES: Final = {"x86_64": _X86_64, "aarch64": _ARM64}


def deny() -> None:
    """From now on; also of threads that there are not yet. Raises `OSError` when the kernel takes no filter."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return
    program = _program(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    head = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.c_void_p(ctypes.addressof(head)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _program(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """(code, jump if so, jump if not, operand); jumps count the instructions that are left out."""
    refuse = (_RETURN, 0, 0, _refuse(errno.EPERM))
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        refuse,
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _refuse(errno.ENOSYS)),  # its flags cannot be looked at; the C library then uses clone
    ]
    for number in (*machine.denied, *_BOTH):
        program += [(_EQUAL, 0, 1, number), refuse]
    return [
        *program,
        (_EQUAL, 0, 3, machine.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]
