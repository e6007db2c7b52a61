"""Who may call: a token in `Authorization: Bearer` or `X-Api-Key`; never in a URL, as those end in logs."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from zapwire.api.http.errors import HttpProblem
from zapwire.core.access.tokens import Tokens
from zapwire.runtime.log_rate_limit import LogLimit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid token gives, without the token."""

    digest: bytes = field(repr=False)
    fixed: bool = False
    """One that cannot be revoked while the daemon runs."""


GRANT = web.RequestKey("grant", Grant)


class Auth:
    """Checks secrets against the database's tokens and *fixed* ones (the admin token, the demo's)."""

    def __init__(self, tokens: Tokens, fixed: Sequence[str] = ()) -> None:
        self._tokens = tokens
        self._fixed = tuple(_digest(secret) for secret in fixed)
        self._log = LogLimit(logger)

    async def grant(self, secret: str) -> Grant | None:
        """What a secret gives, None when it is no valid token; takes the same time however much of it is right."""
        try:
            digest = _digest(secret)
        except UnicodeEncodeError:
            # bytes of a header that are no text come as surrogates
            return None
        # all comparisons are made, whatever they give
        if True in [hmac.compare_digest(digest, one) for one in self._fixed]:
            return Grant(digest, fixed=True)
        return None if await self._tokens.check(secret) is None else Grant(digest)

    async def require(self, request: web.Request) -> None:
        """Raise a 401 problem unless the request carries a valid token; notes what that gives as `GRANT`."""
        secret = presented(request)
        if secret is None:
            raise _unauthorized("give a token: Authorization: Bearer <token>, or X-Api-Key: <token>")
        grant = await self.grant(secret)
        if grant is None:
            self.refused(request)
            raise revoked()
        request[GRANT] = grant

    def refused(self, request: web.Request) -> None:
        """Log that somebody came with a wrong token."""
        self._log.log(logging.INFO, "wrong", "refused a request with a wrong token", extra={"peer": request.remote})


def presented(request: web.Request) -> str | None:
    """The token that a request carries, if any."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.headers.get("X-Api-Key") or None


def revoked() -> HttpProblem:
    """The answer to a token that is none."""
    return _unauthorized("the token is wrong or was revoked; `zapwire token create NAME` makes a new one")


def _unauthorized(detail: str) -> HttpProblem:
    return HttpProblem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="zapwire"'})


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
