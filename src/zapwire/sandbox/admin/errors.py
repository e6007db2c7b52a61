"""Errors of the admin API as RFC 9457 problem documents."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from zapwire.sandbox.phones.errors import PhoneError

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)

CONTENT_TYPE: Final = "application/problem+json"


class AdminBody(BaseModel):
    """A request's body or query; unknown names are errors."""

    model_config = ConfigDict(extra="forbid")


def problem(status: int, detail: str, **more: Any) -> web.Response:
    """A problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return web.Response(status=status, text=json.dumps(body), content_type=CONTENT_TYPE)


def guarded(handler: Handler) -> Handler:
    """Tell PhoneError and bad input as problems; refuse what another site's page asks for."""

    async def answer(request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return problem(403, "another site's page may not use this API")
        try:
            return await handler(request)
        except PhoneError as error:
            return problem(error.status, str(error))
        except ValidationError as error:
            fields = [
                {"field": ".".join(map(str, part["loc"])), "detail": part["msg"]}
                for part in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            return problem(422, "; ".join(f"{f['field']}: {f['detail']}".lstrip(": ") for f in fields), errors=fields)

    return answer


async def body_of(request: web.Request, model: type[Model]) -> Model:
    """The request's JSON as *model*; raises ValidationError. No body at all is an empty object."""
    data = await request.read()
    return model.model_validate_json(data or b"{}")


def query_of(request: web.Request, model: type[Model]) -> Model:
    """The request's query as *model*; raises ValidationError."""
    return model.model_validate(dict(request.query))
