"""The OpenAPI document is valid and complete, and the pages load nothing from outside."""

from __future__ import annotations

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.conftest import Api
from zapwire.api import routes
from zapwire.api.http import openapi
from zapwire.api.v1.schemas.events import EVENTS
from zapwire.model.events import EventType


async def test_the_document_is_valid_and_holds_every_call(api: Api) -> None:
    document = await api.call("GET", "/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    described = {(method.upper(), path) for path, one in document["paths"].items() for method in one}
    assert described == {(route.method, route.path) for route in routes.API}
    assert set(document["webhooks"]) == {kind.value for kind in EventType}


def test_the_document_with_the_sandbox_is_valid() -> None:
    document = openapi.document([*routes.API, *routes.SANDBOX], EVENTS)
    OpenAPIV31SpecValidator(document).validate()
    assert "/v1/sandbox/scan" in document["paths"]


def test_operation_ids_are_unique() -> None:
    document = openapi.document([*routes.API, *routes.SANDBOX], EVENTS)
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


async def test_health_and_version(api: Api) -> None:
    api.headers = {}
    assert await api.call("GET", "/livez") == {"status": "ok"}
    ready = await api.call("GET", "/readyz")
    assert (ready["status"], ready["whatsapp_server"]) == ("ready", "WhatsApp")


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_and_all_that_it_names_are_served_from_here(api: Api, path: str) -> None:
    api.headers = {}
    status, headers, body = await api.raw("GET", path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = body.decode()
    names = set(re.findall(r'(?:src|href)="([^"]+)"', text))
    scripts = [name for name in names if name.endswith(".js")]
    while scripts:
        _, _, script = await api.raw("GET", scripts.pop())
        text += script.decode()
        found = {f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', script.decode())} - names
        names |= found
        scripts += found
    assert "://" not in text
    for name in names - {"/", "/docs"}:
        assert name.startswith("/")
        assert (await api.raw("GET", name))[0] == 200, name


async def test_a_page_is_not_sent_twice(api: Api) -> None:
    _, headers, _ = await api.raw("GET", "/page/app.js")
    status, _, body = await api.raw("GET", "/page/app.js", headers={"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")
