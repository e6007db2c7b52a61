"""Signatures of webhooks: Standard Webhooks 1.0, `v1` (HMAC-SHA256) always and `v1a` (ed25519) where it is wanted.

Signed is `<id>.<timestamp>.<body>`. While a secret is being replaced there is a signature for each secret, separated by
spaces in the one header: a receiver takes any that it can verify.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from zapwire.model.errors import InvalidInput
from zapwire.model.webhooks import EndpointKeys

SECRET = "whsec_"  # noqa: S105 - the prefix, not a secret
PRIVATE = "whsk_"
PUBLIC = "whpk_"
_LEAST, _MOST = 24, 64
"""Bytes of a secret; the standard's own bounds."""


def own_secret(text: str) -> None:
    """Check a secret that somebody brings along. Raises `InvalidInput` (secret)."""
    try:
        if not text.startswith(SECRET):
            raise ValueError
        size = len(base64.b64decode(text.removeprefix(SECRET), validate=True))
    except (ValueError, binascii.Error):
        size = 0
    if not _LEAST <= size <= _MOST:
        raise InvalidInput(f"{SECRET} and then {_LEAST} to {_MOST} bytes in base64", field="secret")


def new_keys(secret: str | None, *, ed25519: bool) -> EndpointKeys:
    """Keys for one endpoint: random ones, but for a *secret* that is given. Raises `InvalidInput` (secret)."""
    if secret is None:
        secret = SECRET + base64.b64encode(secrets.token_bytes(32)).decode()
    else:
        own_secret(secret)
    if not ed25519:
        return EndpointKeys(secret)
    seed = secrets.token_bytes(32)  # RFC 8032
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    private = PRIVATE + base64.b64encode(seed).decode()
    return EndpointKeys(secret, private, PUBLIC + base64.b64encode(public).decode())


class Signer:
    """Signs for one endpoint; drops a replaced secret when its time is over."""

    def __init__(self, keys: EndpointKeys) -> None:
        self._signers = [_Pair(keys.secret, keys.private, None)]
        self._signers += [_Pair(one.secret, one.private, one.until) for one in keys.retired]

    def sign(self, event: str, moment: datetime, body: bytes) -> str:
        """The value of `webhook-signature`."""
        signed = b"%b.%d.%b" % (event.encode(), int(moment.timestamp()), body)
        pairs = [pair for pair in self._signers if pair.until is None or pair.until > moment]
        return " ".join(signature for pair in pairs for signature in pair.sign(signed))


class _Pair:
    __slots__ = ("_hmac", "_private", "until")

    def __init__(self, secret: str, private: str | None, until: datetime | None) -> None:
        # Copied for each signature: `hmac.digest` lets go of the interpreter's lock, which costs more than the hash.
        self._hmac = hmac.new(base64.b64decode(secret.removeprefix(SECRET)), digestmod="sha256")
        self._private = None if private is None else _key(private)
        self.until = until

    def sign(self, signed: bytes) -> Iterator[str]:
        code = self._hmac.copy()
        code.update(signed)
        yield "v1," + base64.b64encode(code.digest()).decode()
        if self._private is not None:
            yield "v1a," + base64.b64encode(self._private.sign(signed)).decode()


def _key(private: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(private.removeprefix(PRIVATE)))
