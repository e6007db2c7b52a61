"""How work in the child says what is wrong with the file."""

from __future__ import annotations

from zapwire.media_tools.faults import MediaFault


class Fault(Exception):
    """Ends the work; the daemon tells it as `InvalidMedia`."""

    def __init__(self, fault: MediaFault, limit: str = "") -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.limit = limit
