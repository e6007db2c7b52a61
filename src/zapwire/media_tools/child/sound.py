"""Sound files: what is in them."""

from __future__ import annotations

from typing import Any

from zapwire.media_tools.child import containers
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.faults import MediaFault


def inspect(request: Request) -> dict[str, Any]:
    """How long it plays."""
    with containers.opened(request) as container:
        sound = containers.sound_of(container)
        if sound is None:
            raise Fault(MediaFault.NO_AUDIO)
        kind = containers.mime_type(container, None, sound)
        return {"facts": {"mime_type": kind, "seconds": containers.seconds_of(container, sound)}}
