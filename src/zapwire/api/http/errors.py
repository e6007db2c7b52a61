"""Errors as RFC 9457 problems: one middleware turns whatever a handler raises into `application/problem+json`."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from zapwire.model import errors
from zapwire.runtime.json_encoder import encode
from zapwire.runtime.log_rate_limit import LogLimit

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTENT_TYPE = "application/problem+json"

# The first matching class counts, so subclasses stand before their bases.
_DOMAIN: tuple[tuple[type[errors.ZapwireError], int, str], ...] = (
    (errors.InvalidInput, 422, "Invalid request"),
    (errors.NotFound, 404, "Not found"),
    (errors.AuthStateFound, 409, "Auth state exists already"),
    (errors.NotUnlinked, 409, "Not unlinked at WhatsApp"),
    (errors.InProgress, 409, "In progress"),
    (errors.TooLate, 409, "Too late"),
    (errors.MediaExpired, 410, "Media expired"),
    (errors.MediaDamaged, 502, "Media damaged"),
    (errors.MediaTooLarge, 413, "Media too large"),
    (errors.NoSpace, 507, "No space left"),
    (errors.Conflict, 409, "Conflict"),
    (errors.IdempotencyMismatch, 422, "Idempotency key used with another body"),
    (errors.TooMany, 429, "Too many requests"),
    (errors.NotSupported, 501, "Not supported"),
    (errors.Refused, 422, "Rejected by WhatsApp"),
    (errors.PasskeyRefused, 502, "Passkey rejected by WhatsApp"),
    (errors.NeedsPerson, 409, "Manual action required"),
    (errors.TransportError, 503, "WhatsApp unreachable"),
    (errors.StoreError, 503, "Database unavailable"),
)

# What the web framework itself answers, under codes of ours.
_FRAMEWORK = {404: "no-such-path", 405: "method-not-allowed", 413: "body-too-large", 400: "bad-request"}
_DETAILS = {
    404: "no call has this path; /openapi.json lists all",
    405: "this path does not know that method, only {allow}",
    413: "the body is larger than {largest} bytes, the setting max_body",
}

CODES = {
    "bad-request": "The request cannot be read.",
    "malformed-json": "The body is not JSON.",
    "unsupported-media-type": "The body's content type is not application/json.",
    "body-too-large": "The body is larger than the setting max_body allows.",
    "not-acceptable": "None of the content types in Accept can be given.",
    "unauthorized": "The token is missing or wrong.",
    "foreign-origin": "A page of another origin may not do that, or the Host name is not one of ours.",
    "no-such-path": "No call has this path.",
    "method-not-allowed": "The path exists, but not with this method.",
    "request-timeout": "The body did not arrive in time.",
    "too-many-streams": "The setting max_streams is reached.",
    "too-many-connections": "The setting max_connections is reached, or the process runs out of descriptors.",
    "sandbox": "The sandbox did not do what was asked.",
    **{error.code: (error.__doc__ or "").split("\n")[0] for error, _, _ in _DOMAIN},
    "pairing-timed-out": "All pairing codes ran out without a scan.",
    "logged-out": "The device was removed from the account.",
    "blocked": "WhatsApp refuses this account or this program.",
    "not-connected": "Not sent: the bot is not connected.",
    "internal-error": "Internal error; the log says more.",
}
"""Every `code` an answer may carry, with its meaning; docs/api.md lists them."""


class HttpProblem(Exception):
    """An answer other than success, raised by the API layer itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})
        self.faults = faults
        """All faults of a body, as (field, detail), when there are several."""

    def response(self) -> web.Response:
        """The answer."""
        return web.Response(status=self.status, text=self.text(), content_type=CONTENT_TYPE, headers=self.headers)

    def text(self) -> str:
        """The document; `type` is a URN because the documentation has no fixed address."""
        body: dict[str, Any] = {
            "type": f"urn:zapwire:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.field is not None:
            body["field"] = self.field
        if self.faults:
            body["errors"] = [dict(fault) for fault in self.faults]
        return encode(body)


def from_domain(error: errors.ZapwireError) -> HttpProblem:
    """The problem that tells *error*; an error without a row in the table is an internal error."""
    for kind, status, title in _DOMAIN:
        if isinstance(error, kind):
            headers = {}
            if isinstance(error, errors.TooMany | errors.InProgress) and error.retry_after is not None:
                headers["Retry-After"] = str(math.ceil(error.retry_after))
            detail = f"{error.detail}; {error.action}" if isinstance(error, errors.NeedsPerson) else error.detail
            return HttpProblem(status, error.code, detail, field=error.field, title=title, headers=headers)
    raise error


def problem_middleware() -> Middleware:
    """Turn what was raised into a problem; what nobody raised on purpose is logged and becomes a bare 500."""
    log = LogLimit(logger)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            try:
                return await handler(request)
            except errors.ZapwireError as error:
                raise from_domain(error) from error
        except HttpProblem as problem:
            return problem.response()
        except web.HTTPException as error:
            return _from_framework(request, error)
        except Exception as error:
            if not (isinstance(error, ConnectionError) and _is_gone(request)):
                kind = (type(error), request.match_info.route)
                words = "the handler of %s %s failed"
                log.log(logging.ERROR, kind, words, request.method, request.rel_url.raw_path, exc_info=error)
            return (
                _cut_off(request)
                or HttpProblem(500, "internal-error", "an internal error; the log says more").response()
            )

    return middleware


def _is_gone(request: web.Request) -> bool:
    """Whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()


def _cut_off(request: web.Request) -> web.StreamResponse | None:
    """End an answer that has begun: nothing in it can say any more that it failed."""
    if request.writer.output_size == 0:
        return None
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _from_framework(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    allow = error.headers.get("Allow", "")
    words = _DETAILS.get(error.status, "the request cannot be read: it is not what this call takes")
    detail = words.format(allow=allow.replace(",", ", "), largest=request.client_max_size)
    code = _FRAMEWORK.get(error.status, "bad-request")
    return HttpProblem(error.status, code, detail, headers={"Allow": allow} if allow else {}).response()
