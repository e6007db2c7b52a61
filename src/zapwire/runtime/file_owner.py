"""Whose a file is that root makes in somebody else's folder: theirs, or they could not go on with it.

A person does as root what the daemon's own user cannot be asked to do (systemd's DynamicUser has no shell): `key
rotate`, `token create`. What that makes and replaces has to remain the daemon's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def open_or_make(path: Path) -> int:
    """Open *path* for reading and writing; one that is made is for its owner only (mode 0600), who is the folder's.

    Raises OSError.
    """
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:  # somebody else was quicker; or it is a link to what is not there
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    like_folder(made, path.parent)
    return made


def like_folder(descriptor: int, folder: Path) -> None:
    """Give a file that was just made in *folder* to the folder's owner; does nothing unless we are root."""
    if os.geteuid() == 0:
        with suppress(PermissionError):  # a container's root that may not give anything away
            _give(descriptor, folder.stat())


def like_before(descriptor: int, path: Path) -> None:
    """Make a file that replaces *path* like the one there, owner and mode, or the folder's owner's when there is none.

    Raises OSError.
    """
    try:
        before = path.stat()
    except FileNotFoundError:
        like_folder(descriptor, path.parent)
        return
    if os.geteuid() == 0:
        _give(descriptor, before)
    os.fchmod(descriptor, before.st_mode & 0o777)


def _give(descriptor: int, to: os.stat_result) -> None:
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (to.st_uid, to.st_gid):
        os.fchown(descriptor, to.st_uid, to.st_gid)
