"""The status of an answer, read from its bytes as they come.

An HTTP library judges the whole answer: a header that is too long or holds a strange character, and there is no
answer at all. A webhook's answer is judged by its status alone, so the status is read beside the library, which goes on
to do everything else (connections, TLS, framing).
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

_STATUS: Final = re.compile(rb"[\r\n]*HTTP/\d\.\d +([1-9]\d{2})(?=[ \r\n])")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_LONGEST_LINE: Final = 64
"""Bytes in which a status line has to have begun like one."""
_INTERIM_LONGEST: Final = 65_536
"""Bytes of all interim answers (100, 103) together."""
_SWITCHING: Final = 101


class StatusLine:
    """The final status in an answer's bytes, once enough of them were fed; interim answers are passed over."""

    __slots__ = ("_data", "_passed", "_searching", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self._data = b""
        self._passed = 0
        self._searching = True

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the answer."""
        if not self._searching:
            return
        self._data = self._data + data if self._data else data
        while self._searching and self._step():
            pass

    def _step(self) -> bool:
        """Look at what is there; True when an interim answer was passed over and there may be more."""
        found = _STATUS.match(self._data)
        if found is None:
            begun = self._data.lstrip(b"\r\n")
            self._searching = len(self._data) < _LONGEST_LINE and b"\n" not in begun
            return False
        status = int(found[1])
        if not 100 <= status < 200 or status == _SWITCHING:
            self.status, self._searching, self._data = status, False, b""
            return False
        end = _HEAD_END.search(self._data)
        self._searching = self._passed + len(self._data) <= _INTERIM_LONGEST
        if end is None:
            return False
        self._passed += end.end()
        self._data = self._data[end.end() :]
        return True


class ListeningProtocol(ResponseHandler):
    """aiohttp's side of a connection, which finds the status by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.line = StatusLine()
        """Of the answer to the newest request."""

    def set_response_params(self, **options: Any) -> None:
        """A new request begins on this connection."""
        self.line = StatusLine()
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        """Look for the status, and let aiohttp go on."""
        self.line.feed(data)
        super().data_received(data)


class ListeningConnector(aiohttp.TCPConnector):
    """Makes connections whose status lines are listened to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # There is no public way; tests/core/webhooks/test_odd_answers.py fails when aiohttp no longer takes the class
        # from here.
        self._factory = partial(ListeningProtocol, loop=self._loop)  # type: ignore[assignment]  # partial is invariant
