"""Why there is no way to WhatsApp, or why a client did not start, in plain words.

The texts are Go's (net, net/http, crypto/tls, x/net/proxy) and whatsmeow's (client.go, socket, handshake.go); they tell
of this machine, a proxy and WhatsApp's server, never of people.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from zapwire.model.errors import Condition, TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine.store_errors import from_store_text
from zapwire.transport.whatsapp_web.engine.untrusted_text import without_addresses

_NOT_WHATSAPP: Final = "what answers there is not WhatsApp (a login page of the network, perhaps)"
_REASONS: Final = (
    ("username/password authentication failed", "the proxy does not take the user name and the password"),
    ("no acceptable authentication methods", "the proxy wants a user name and a password"),
    ("not allowed by ruleset", "the proxy does not let it through"),
    ("general socks server failure", "the proxy does not let it through"),
    ("socks connect", "the proxy cannot be reached, or does not let it through"),
    ("connection refused", "connection refused"),
    ("no such host", "its name cannot be resolved (no network, or no DNS)"),
    ("server misbehaving", "its name cannot be resolved (no network, or no DNS)"),
    ("temporary failure in name resolution", "its name cannot be resolved (no network, or no DNS)"),
    ("network is unreachable", "no network"),
    ("no route to host", "no route to it"),
    ("timed out waiting for handshake", "it did not answer the handshake"),
    ("i/o timeout", "it did not answer in time"),
    ("timeout", "it did not answer in time"),
    ("certificate", "its certificate is not trusted"),
    ("failed to verify server cert", "it is not a genuine WhatsApp server"),
    ("connection reset", "the connection was cut"),
    ("eof", "the connection was cut"),
    ("proxyconnect", "the proxy does not let it through"),
    ("not look like a tls handshake", _NOT_WHATSAPP),
    ("server gave http response to https client", _NOT_WHATSAPP),
    ("status code", "it refused the connection"),
)
"""An error is a chain of steps; the first row that occurs in it decides, so what is more exact stands further up."""
_PROXY_ANSWERS: Final = {status.phrase: status for status in HTTPStatus if status >= 400}
"""Go tells a proxy's refusal by the words of its HTTP status alone (net/http, transport.go)."""


class Unreachable(TransportError):
    """There is no way to WhatsApp, for no bot."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, condition=Condition.UNREACHABLE)


def from_start_error(text: str) -> ZapwireError:
    """Why a client ended before it ran: the dial failed, or something on this machine (its database, mostly)."""
    if text.startswith(("failed to dial", "noise handshake failed")):
        return unreachable(text)
    if (error := from_store_text(text)) is not None:
        return error
    return TransportError(f"the engine did not start: {without_addresses(text) or 'without a reason'}")


def unreachable(error: str, what: str = "WhatsApp") -> Unreachable:
    """A dial error in plain words; *what* was dialled."""
    cause = error.rpartition('": ')[2]  # before that: which steps and which address
    if cause in _PROXY_ANSWERS:
        return Unreachable(f"WhatsApp cannot be reached: {_proxy_words(_PROXY_ANSWERS[cause])}")
    lower = error.lower()
    reason = next((words for part, words in _REASONS if part in lower), without_addresses(cause))
    return Unreachable(f"{what} cannot be reached: {reason}")


def _proxy_words(status: HTTPStatus) -> str:
    if status is HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return "the proxy wants a user name and a password"
    return f"the proxy does not let it through ({status.phrase})"
