"""The OpenAPI 3.1 document, made from the table of calls and the pydantic models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from zapwire import __version__
from zapwire.api.http import errors
from zapwire.api.http.context import ROUTES
from zapwire.api.http.models import Problem
from zapwire.api.http.requests import Parameter
from zapwire.api.http.responses import answer
from zapwire.api.http.routing import Access, Route
from zapwire.model.events import EventType

EventModels = Mapping[EventType, type[BaseModel]]
"""The whole event of each type, as a model."""
EVENT_MODELS: web.AppKey[EventModels] = web.AppKey("event-models")

_REF = "#/components/schemas/{model}"


async def show(request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    routes = request.app[ROUTES]
    return answer(document(routes, request.app[EVENT_MODELS]))


def document(routes: Iterable[Route], events: EventModels) -> dict[str, Any]:
    """The whole document for these calls and *events*."""
    documented = [route for route in routes if route.documented]
    paths: dict[str, dict[str, Any]] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zapwire",
            "version": __version__,
            "description": "WhatsApp Web connector: bots, messages, events, webhooks. Errors are RFC 9457 problems.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in documented)],
        "paths": paths,
        "webhooks": {kind.value: _webhook(kind, model) for kind, model in events.items()},
        "components": {
            "schemas": _schemas(documented, events),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _schemas(routes: Iterable[Route], events: EventModels) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = dict.fromkeys((Problem, *events.values()))
    for route in routes:
        models.update(dict.fromkeys(model for model in (route.body, route.answer) if model is not None))
    _, made = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    found: dict[str, Any] = made["$defs"]
    return found


def _operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            *(_parameter(Parameter(name, ""), "path") for name in re.findall(r"{(\w+)}", route.path)),
            *(_parameter(one, "query") for one in route.query),
            *(_parameter(one, "header") for one in route.headers),
        ],
        "responses": _responses(route),
    }
    if route.body is not None:
        made["requestBody"] = {"required": True, "content": _json(route.body)}
    if route.file:
        form = {"type": "object", "properties": {"file": {}}, "required": ["file"]}
        made["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {}}, "multipart/form-data": {"schema": form}},
        }
    if route.access is Access.PUBLIC:
        made["security"] = []
    return made


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    made = {"name": parameter.name, "in": place, "required": place == "path", "schema": parameter.schema()}
    made |= parameter.serialization()
    return {**made, "description": parameter.description} if parameter.description else made


def _responses(route: Route) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    other = {"101": {"description": "A WebSocket follows"}} if route.access is Access.STREAM else {}
    if route.answer is not None:
        images = {media: {"schema": {"type": "string"}} for media in route.media}
        success["content"] = {**_json(route.answer), **images}
    if route.text is not None:
        binary = route.text == "application/octet-stream"
        success["content"] = {route.text: {"schema": {} if binary else {"type": "string"}}}
    failures = {*route.problems, *_implied(route)}
    content = {errors.CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {
        **other,
        str(route.status): success,
        **{str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(failures)},
    }


def _implied(route: Route) -> set[int]:
    """The problems that follow from who may call and what the call takes."""
    found = {
        400,
        417,
        421,
        422,
        500,
    }  # no request, an expectation, a foreign host, a parameter that it has not, our fault
    if route.access is not Access.PUBLIC:
        found |= {401, 408, 413, 503}  # whatever it does, a body is read, and the token is looked up in the database
    if route.method != "GET" or route.access is Access.STREAM:
        found.add(403)
    if "{" in route.path:
        found.add(404)
    if route.body is not None:
        found.add(415)
    return found


def _webhook(kind: EventType, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "post": {
            "operationId": "event_" + kind.value.replace(".", "_"),
            "summary": f"An event `{kind.value}`, signed as Standard Webhooks says",
            "tags": ["events"],
            "security": [],
            "requestBody": {"required": True, "content": _json(model)},
            "responses": {"2XX": {"description": "Delivered; any other status is a failure and is retried"}},
        }
    }


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
