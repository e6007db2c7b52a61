"""Frames of the socket: a stream of WebSocket messages cut into length-prefixed pieces.

Source: whatsmeow's `socket/framesocket.go` and Baileys' `noise-handler.ts`. The stream begins with a header once
("WA", 6, 3); Baileys may put routing information before it ("ED", 0, 1, three bytes of length, the information).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from zapwire.wire.noise import HEADER

MAX_FRAME: Final = 1 << 24
_ROUTING: Final = b"ED\x00\x01"
_LENGTH: Final = 3


class FrameError(ValueError):
    """The stream is not a WhatsApp Web socket."""


def frame(data: bytes) -> bytes:
    """A piece with its length before it; raises FrameError when it is too long to be told."""
    if len(data) >= MAX_FRAME:
        raise FrameError("a frame of 16 MiB or more cannot be sent")
    return len(data).to_bytes(_LENGTH, "big") + data


class OtherDictionary(FrameError):
    """The client speaks another version of the token dictionary."""


class FrameReader:
    """Collects bytes and gives whole frames."""

    def __init__(self, *, header: bool = True, longest: int = MAX_FRAME) -> None:
        """*header*: the stream begins with one, as a client's does and a server's does not. A frame of more than
        *longest* bytes is an error.
        """
        self._data = bytearray()
        self._started = not header
        self._longest = longest

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; gives every frame that is complete now.

        Raises FrameError on a wrong header and on a frame that is too long.
        """
        self._data += data
        if not self._started and not self._skip_header():
            return
        while len(self._data) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._data[:_LENGTH], "big")
            if end - _LENGTH > self._longest:
                raise FrameError("a frame is too long")
            if len(self._data) < end:
                return
            piece = bytes(self._data[_LENGTH:end])
            del self._data[:end]
            yield piece

    def _skip_header(self) -> bool:
        start = 0
        if self._data.startswith(_ROUTING):
            length_at = len(_ROUTING)
            start = length_at + _LENGTH + int.from_bytes(self._data[length_at : length_at + _LENGTH], "big")
        header = bytes(self._data[start : start + len(HEADER)])
        if len(header) == len(HEADER) and header != HEADER and header[:-1] == HEADER[:-1]:
            version, ours = header[-1], HEADER[-1]
            advice = "it is too old: use a newer release of the library" if version < ours else "it is newer than this"
            raise OtherDictionary(f"it speaks version {version} of the token dictionary, not {ours}; {advice}")
        if not HEADER.startswith(header) and not _ROUTING.startswith(header):
            raise FrameError("not the header of a WhatsApp Web socket")
        if header != HEADER:
            return False
        del self._data[: start + len(HEADER)]
        self._started = True
        return True
