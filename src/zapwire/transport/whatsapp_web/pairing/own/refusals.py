"""Why a pairing's connection was ended, from the stanza that says it; the engine's table, without its log lines.

Source: whatsmeow's connectionevents.go (`handleConnectFailure`, `handleStreamError`, `handleIB`).
"""

from __future__ import annotations

import re
from typing import Final

from zapwire.model.errors import TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine import disconnect_reasons
from zapwire.wire.node import Node

_NUMBER: Final = re.compile(r"\d{1,9}")


def of_failure(failure: Node) -> ZapwireError:
    """What a `<failure>` means."""
    reason = _number(failure, "reason")
    if reason in {401, 403, 406}:
        return disconnect_reasons.logged_out(reason)
    if reason == 402:
        return disconnect_reasons.banned(_number(failure, "code"), _number(failure, "expire"))
    if reason == 405:
        return disconnect_reasons.outdated()
    return disconnect_reasons.refused(str(reason) if reason else "without a reason")


def of_stream_error(error: Node) -> ZapwireError:
    """What a `<stream:error>` means that does not end a pairing that worked."""
    conflict = error.child("conflict")
    if conflict is not None and conflict.text("type") == "replaced":
        return disconnect_reasons.replaced()
    if conflict is not None and conflict.text("type") == "device_removed":
        return disconnect_reasons.removed()
    code = _number(error, "code")
    if code == 503:
        return disconnect_reasons.busy(str(code))
    return TransportError(f"WhatsApp ended the pairing (stream error {code or 'without a code'}); scan a new code")


def _number(node: Node, name: str) -> int:
    text = node.text(name)
    return int(text) if _NUMBER.fullmatch(text) else 0
