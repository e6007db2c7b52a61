"""Reading requests: bodies through pydantic models, query parameters through small typed readers."""

from __future__ import annotations

import asyncio
import math
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, RootModel, ValidationError

from zapwire.api.http.errors import HttpProblem
from zapwire.runtime.validation_messages import field_name, sentence

M = TypeVar("M", bound=BaseModel)
_TAGS: Final = frozenset({"union_tag_invalid", "union_tag_not_found"})
"""Pydantic's errors about the `type` of a body."""

BODY_WAIT: Final = 60.0
LARGE_BODY_WAIT: Final = 600.0
"""Seconds that a client has to send a body, and one that may be larger than the setting max_body."""


async def read_body(request: web.Request, model: type[M], *, largest: int | None = None) -> M:
    """The JSON body as *model*; raises a problem: 415 content type, 400 not JSON, 413 too large, 422 with the field.

    *largest* stands in the place of the setting max_body, in bytes.
    """
    if request.content_type != "application/json":
        raise HttpProblem(415, "unsupported-media-type", "send the body as Content-Type: application/json")
    raw = await read_all(request, largest=largest)
    try:
        # RFC 8259 lets a reader skip a byte order mark, which some clients on Windows send
        return model.model_validate_json(raw.removeprefix(BOM_UTF8))
    except ValidationError as error:
        raise _body_problem(error, tagged=issubclass(model, RootModel)) from None


async def read_all(request: web.Request, *, largest: int | None = None) -> bytes:
    """The whole body. Raises a problem: 413 too large, 408 too slow, 400 when it is not what its head says."""
    wait = BODY_WAIT
    if largest is not None:
        wait = LARGE_BODY_WAIT if largest > request.client_max_size else BODY_WAIT
        request = request.clone(client_max_size=largest)
    try:
        async with asyncio.timeout(wait):
            return await request.read()
    except TimeoutError:
        raise HttpProblem(
            408, "request-timeout", f"the body was not there within {wait:g} s", headers={"Connection": "close"}
        ) from None
    except web.HTTPRequestEntityTooLarge:
        if largest is None:
            raise
        raise HttpProblem(413, "body-too-large", f"the body is larger than {largest} bytes") from None
    except web.RequestPayloadError:
        raise HttpProblem(400, "bad-request", "the body ends early, or is not in its Content-Encoding") from None


def _body_problem(error: ValidationError, *, tagged: bool) -> HttpProblem:
    """*tagged*: the body is one of several, by its `type`, which stands in front of each field's name."""
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return HttpProblem(400, "malformed-json", f"the body is not JSON: {found[0]['ctx']['error']}")
    faults = [
        {
            "field": _field(one["type"], one["loc"][1:] if tagged else one["loc"]),
            "detail": _sentence(one["type"], one["msg"]),
        }
        for one in found
    ]
    first = faults[0]
    return HttpProblem(
        422,
        "invalid-input",
        first["detail"],
        field=first["field"] or None,
        title="Invalid request",
        faults=faults if len(faults) > 1 else (),
    )


def _field(kind: str, where: tuple[str | int, ...]) -> str:
    return "type" if kind in _TAGS else field_name(where)


def _sentence(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind in _TAGS:
        return f"is no type of message; there are {message.partition('expected tags: ')[2]}"
    if kind == "extra_forbidden":
        return "is not a field of this call"
    return sentence(kind, message)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter."""

    name: str
    description: str
    shape: Mapping[str, Any] = field(default_factory=dict)
    """What else its JSON schema says."""

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        return {"type": "string", **self.shape}

    def serialization(self) -> dict[str, Any]:
        """How its value is written, as OpenAPI tells it."""
        return {}


@dataclass(frozen=True, slots=True)
class SecondsParameter(Parameter):
    """How long a caller is willing to wait."""

    maximum: float = 60

    def read(self, request: web.Request) -> float:
        """The value, 0 when absent; raises a 422 problem."""
        text = request.query.get(self.name, "0")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= self.maximum:
            raise _bad(self.name, f"must be a number of seconds from 0 to {self.maximum:g}")
        return value

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        return {"type": "number", "minimum": 0, "maximum": self.maximum, "default": 0}


@dataclass(frozen=True, slots=True)
class IntegerParameter(Parameter):
    """A whole number within limits."""

    minimum: int = 0
    maximum: int = (1 << 63) - 1
    default: int | None = None

    def read(self, request: web.Request) -> int | None:
        """The value or the default; raises a 422 problem."""
        text = request.query.get(self.name)
        return self.default if text is None else self.read_text(text)

    def read_text(self, text: str) -> int:
        """The value of *text*, wherever it came from; raises a 422 problem."""
        if not text.isascii() or not text.isdigit() or len(text) > 19 or not self.minimum <= int(text) <= self.maximum:
            raise _bad(self.name, f"must be a whole number from {self.minimum} to {self.maximum}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        default = {} if self.default is None else {"default": self.default}
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum, **default}


@dataclass(frozen=True, slots=True)
class FlagParameter(Parameter):
    """Yes or no."""

    def read(self, request: web.Request) -> bool:
        """The value, no when absent; raises a 422 problem."""
        text = request.query.get(self.name, "false")
        if text not in {"true", "false"}:
            raise _bad(self.name, "must be true or false")
        return text == "true"

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        return {"type": "boolean", "default": False}


@dataclass(frozen=True, slots=True)
class ChoiceParameter(Parameter):
    """One of some words."""

    choices: tuple[str, ...] = ()
    default: str = ""

    def read(self, request: web.Request) -> str:
        """The word or the default; raises a 422 problem."""
        text = request.query.get(self.name, self.default)
        if text not in self.choices:
            raise _bad(self.name, f"must be one of {', '.join(self.choices)}")
        return text

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        return {"type": "string", "enum": list(self.choices), "default": self.default}


@dataclass(frozen=True, slots=True)
class WordsParameter(Parameter):
    """A list of words, separated by commas; *shape* is that of each."""

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        return {"type": "array", "items": {"type": "string", **self.shape}}

    def serialization(self) -> dict[str, Any]:
        """How its value is written, as OpenAPI tells it."""
        return {"style": "form", "explode": False}

    def read(self, request: web.Request) -> list[str] | None:
        """The words; None when the parameter is absent, empty or `*`."""
        words = [
            word.strip() for text in request.query.getall(self.name, []) for word in text.split(",") if word.strip()
        ]
        return None if not words or "*" in words else words


def refuse_unknown(request: web.Request, known: tuple[Parameter, ...]) -> None:
    """Raise a 422 problem for a query parameter that the call does not have: most likely a typing mistake."""
    names = {parameter.name for parameter in known}
    for name in request.query:
        if name not in names:
            raise _bad(name, "is not a parameter of this call")


def _bad(field: str, detail: str) -> HttpProblem:
    return HttpProblem(422, "invalid-input", detail, field=field, title="Invalid request")
