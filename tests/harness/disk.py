"""A disk so small that a test can fill it."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path
from typing import Self

SIZE = 16 << 20


class SmallDisk:
    """A folder on a file system of 16 MB; who may not mount one gets a limit on the size of files instead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._is_mounted = False

    def __enter__(self) -> Self:
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.folder)]
        self._is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_mounted:
            subprocess.run(["umount", str(self.folder)], check=True)

    def fill(self, pid: int, growing: Path) -> None:
        """Leave no space; without a mount: not for process *pid* to let files grow beyond the size of *growing*."""
        if not self._is_mounted:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (growing.stat().st_size, most))
            return
        with self._ballast.open("wb", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                try:
                    while ballast.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def free(self, pid: int) -> None:
        """Give the space back."""
        if not self._is_mounted:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        self._ballast.unlink(missing_ok=True)
