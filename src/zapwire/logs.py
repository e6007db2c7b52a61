"""Log lines on stderr: `time level logger: sentence`, or one JSON object each; stdout is for what programs read."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

# What a LogRecord always has; anything else came in through `extra=` and belongs into the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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


class _Text(logging.Formatter):
    """A line for people; fields follow as name=value."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        fields = "".join(f" {name}={value}" for name, value in _extras(record).items())
        return super().formatMessage(record) + fields


class _Json(logging.Formatter):
    """A line for programs."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
