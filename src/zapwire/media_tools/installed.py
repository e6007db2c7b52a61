"""Is the extra `media` installed? Looked up without importing it: the daemon itself never does."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Final

from zapwire.model.errors import NotSupported

_NEEDED: Final = {"av": "av", "PIL": "pillow", "pi_heif": "pi-heif", "pypdfium2": "pypdfium2"}


@cache
def missing() -> tuple[str, ...]:
    """The packages that are not there."""
    return tuple(package for module, package in _NEEDED.items() if find_spec(module) is None)


def check() -> None:
    """Raises `NotSupported`, with what to install, unless all is there."""
    if lost := missing():
        raise NotSupported(
            f"media cannot be inspected or converted: {', '.join(lost)} missing here; pip install 'zapwire[media]'"
        )
