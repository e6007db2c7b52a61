"""Log lines on stderr: `time level logger: sentence`, or one JSON object each; stdout is for what programs read.

A line about one bot begins with `bot %s: `, one about one webhook with `webhook %s: `; the first argument is then a
field of its own in JSON. What a line quotes may come from a stranger: it never looks like another line.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Final

from zapwire.runtime.json_encoder import encode

SUBJECTS: Final = {"bot %s: ": "bot", "webhook %s: ": "webhook"}
"""How a line about one thing begins, and the name of the field."""

# What a LogRecord always has; anything else came in through `extra=` and belongs into the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN: Final = (str, int, float, bool, type(None))
# What moves a terminal's cursor or ends a line for somebody: C0 and C1 without the newline, Unicode's separators.
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def configure(level: str, form: str) -> None:
    """Send all loggers to stderr; *form* is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiosqlite logs every statement with its values at DEBUG, asyncio every slow callback: not ours to tell.
    for talkative in ("aiosqlite", "asyncio"):
        logging.getLogger(talkative).setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))
    logging.getLogger("aiohttp.server").addFilter(_is_ours_to_tell)


def line(logger: logging.Logger, level: int, message: str) -> bytes:
    """The line that *logger* would write, for whoever must not wait for a lock: takes none."""
    record = logging.LogRecord(logger.name, level, __file__, 0, message, None, None)
    formatter = next((handler.formatter for handler in logging.getLogger().handlers if handler.formatter), None)
    return ((formatter or _text()).format(record) + "\n").encode("utf-8", "replace")


def _is_ours_to_tell(record: logging.LogRecord) -> bool:
    """Not what is no HTTP: whoever sent it is answered, and a page of traceback for each would only fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__module__ != "aiohttp.http_exceptions"


def _text() -> logging.Formatter:
    # systemd's journal stamps each line itself
    time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    return _Text(time + "%(levelname)-7s %(name)s: %(message)s")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _subject(record: logging.LogRecord) -> dict[str, object]:
    """What the line is about, from its template: never from what was filled in."""
    for beginning, field in SUBJECTS.items():
        if isinstance(record.args, tuple) and record.args and str(record.msg).startswith(beginning):
            return {field: str(record.args[0])}
    return {}


class _Text(logging.Formatter):
    """A line for people; fields follow as name=value. What has several lines has them indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        fields = "".join(f" {name}={value}" for name, value in _extras(record).items())
        return super().formatMessage(record) + fields

    def format(self, record: logging.LogRecord) -> str:
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))
        return text.replace("\n", "\n    ")


class _Json(logging.Formatter):
    """A line for programs."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_subject(record),
            **_extras(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return encode({name: value if isinstance(value, _PLAIN) else str(value) for name, value in fields.items()})
