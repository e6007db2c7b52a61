"""Signatures of webhooks: Standard Webhooks 1.0, `v1` (HMAC-SHA256) always and `v1a` (ed25519) where it is wanted.

Signed is `<id>.<timestamp>.<body>`. While a secret is being replaced there is a signature for each secret, separated by
spaces in the one header: a receiver takes any that it can verify.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from standardwebhooks import Webhook

from zapwire.errors import InvalidInput
from zapwire.store.webhooks import Keys

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


def new_keys(secret: str | None, *, ed25519: bool) -> Keys:
    """Keys for one endpoint: random ones, but for a *secret* that is given. Raises `InvalidInput` (secret)."""
    if secret is None:
        secret = SECRET + base64.b64encode(secrets.token_bytes(32)).decode()
    else:
        own_secret(secret)
    if not ed25519:
        return Keys(secret)
    seed = secrets.token_bytes(32)  # RFC 8032
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    private = PRIVATE + base64.b64encode(seed).decode()
    return Keys(secret, private, PUBLIC + base64.b64encode(public).decode())


class Signer:
    """Signs for one endpoint; drops a replaced secret when its time is over."""

    def __init__(self, keys: Keys) -> None:
        self._signers = [_Pair(keys.secret, keys.private, None)]
        self._signers += [_Pair(one.secret, one.private, one.until) for one in keys.retired]

    def sign(self, event: str, moment: datetime, body: str) -> str:
        """The value of `webhook-signature`."""
        pairs = [pair for pair in self._signers if pair.until is None or pair.until > moment]
        return " ".join(signature for pair in pairs for signature in pair.sign(event, moment, body))


class _Pair:
    __slots__ = ("_private", "_webhook", "until")

    def __init__(self, secret: str, private: str | None, until: datetime | None) -> None:
        self._webhook = Webhook(secret)
        self._private = None if private is None else _key(private)
        self.until = until

    def sign(self, event: str, moment: datetime, body: str) -> Iterator[str]:
        yield self._webhook.sign(event, moment, body)
        if self._private is not None:
            signed = f"{event}.{int(moment.timestamp())}.{body}".encode()
            yield "v1a," + base64.b64encode(self._private.sign(signed)).decode()


def _key(private: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(private.removeprefix(PRIVATE)))
