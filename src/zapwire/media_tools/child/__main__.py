"""The program of the child: one request in its arguments, one answer as JSON on its standard output.

Of the project and of other packages only what the work needs is imported: the start counts for every file.
"""

from __future__ import annotations

import base64
import errno
import importlib
import json
import os
import sys
from typing import Any, Final

from zapwire.media_tools.child import confinement
from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.child.request import Request
from zapwire.media_tools.faults import MediaFault

_WORK: Final = {
    "image": ("images", "inspect"),
    "sticker": ("images", "inspect"),
    "video": ("video", "inspect"),
    "gif": ("video", "inspect"),
    "video_note": ("video", "inspect"),
    "audio": ("sound", "inspect"),
    "voice": ("sound", "inspect"),
    "document": ("documents", "inspect"),
}
_CONVERSIONS: Final = {
    "voice": ("voice", "convert"),
    "sticker": ("stickers", "convert"),
    "jpeg": ("images", "convert"),
    "mp4": ("mp4", "convert"),
}


def main() -> None:
    """Do what the request says, and leave without ending what decoders have begun."""
    answers = _keep_stdout()
    request = Request.read(sys.argv[1])
    confinement.limit(request.limits)
    try:
        answer = _work(request)
    except Fault as fault:
        answer = {"fault": fault.fault, "limit": fault.limit}
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        answer = {"fault": MediaFault.TOO_LARGE, "limit": f"{request.limits.output} bytes"}
    except MemoryError:
        answer = {"fault": MediaFault.OUT_OF_MEMORY, "limit": f"{request.limits.memory >> 20} megabytes"}
    os.write(answers, json.dumps(answer, default=_text).encode())
    os._exit(0)


def _work(request: Request) -> dict[str, Any]:
    module, function = _WORK[request.kind] if request.work == "inspect" else _CONVERSIONS[request.work]
    work = getattr(importlib.import_module(f"zapwire.media_tools.child.{module}"), function)
    confinement.close()
    answer: dict[str, Any] = work(request)
    return answer


def _keep_stdout() -> int:
    # what a library prints is no part of the answer
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return answers


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    main()
