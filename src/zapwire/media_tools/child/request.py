"""What the daemon asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.source import Source
from zapwire.media_tools.faults import MediaFault
from zapwire.media_tools.limits import Limits


@dataclass(frozen=True)
class Request:
    """One file, and what to do with it."""

    work: str
    input: int
    """The descriptor to read."""
    output: int | None
    """The one to write to."""
    limits: Limits
    kind: str = ""
    sound: bool = True

    @classmethod
    def read(cls, text: str) -> Self:
        """From JSON, which the daemon wrote."""
        asked = json.loads(text)
        return cls(**{**asked, "limits": Limits(**asked["limits"])})

    def source(self) -> Source:
        """The file. Raises `Fault` when it is empty."""
        return Source(self.input)

    def target(self) -> int:
        """The descriptor to write to."""
        if self.output is None:
            raise ValueError(self.work)
        return self.output

    def check_pixels(self, width: int, height: int) -> None:
        """Raises `Fault` for a picture that is too large to be decoded, or has no size."""
        if width <= 0 or height <= 0:
            raise Fault(MediaFault.DAMAGED)
        if width * height > self.limits.pixels:
            raise Fault(MediaFault.TOO_MANY_PIXELS, f"{self.limits.pixels / 1e6:g} megapixels")

    def check_size(self, size: int) -> None:
        """Raises `Fault` when the *size* bytes of what is written are more than there may be."""
        if size > self.limits.output:
            raise Fault(MediaFault.TOO_LARGE, f"{self.limits.output} bytes")
