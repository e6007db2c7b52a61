"""What can be wrong with a file that is to be inspected or converted; known to the daemon and to its children."""

from __future__ import annotations

from enum import StrEnum

from zapwire.model.errors import InvalidInput


class MediaFault(StrEnum):
    """Stable names."""

    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown-format"
    DAMAGED = "damaged"
    PROTECTED = "protected"
    NO_AUDIO = "no-audio"
    NO_VIDEO = "no-video"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_LONG = "too-long"
    TOO_LARGE = "too-large"
    OUT_OF_MEMORY = "out-of-memory"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"


DETAILS = {
    MediaFault.EMPTY: "the file is empty",
    MediaFault.UNKNOWN_FORMAT: "the file is of no format that can be read as what it is to be",
    MediaFault.DAMAGED: "the file is damaged or ends too early",
    MediaFault.PROTECTED: "the file is protected by a password",
    MediaFault.NO_AUDIO: "the file has no sound",
    MediaFault.NO_VIDEO: "the file has no video",
    MediaFault.TOO_MANY_PIXELS: "the picture has too many pixels",
    MediaFault.TOO_LONG: "the video is too long",
    MediaFault.TOO_LARGE: "the result cannot be made small enough",
    MediaFault.OUT_OF_MEMORY: "decoding the file takes too much memory",
    MediaFault.TIMED_OUT: "decoding the file takes too long",
    MediaFault.CRASHED: "the file made its decoder crash",
}
"""A sentence for each; none says anything of the file's name or content."""


class InvalidMedia(InvalidInput):
    """A file that cannot be inspected or converted; `fault` says why, for programs."""

    def __init__(self, fault: MediaFault, *, limit: str = "", field: str | None = None) -> None:
        """*limit* is the number that was passed, with its unit."""
        super().__init__(DETAILS[fault] + (f" (the limit is {limit})" if limit else ""), field=field)
        self.fault = fault
