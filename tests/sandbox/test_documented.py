"""docs/sandbox.md tells every call, fault and field of the descriptor."""

from __future__ import annotations

import re
from pathlib import Path

from zapwire.sandbox.admin.channels import ChannelApi
from zapwire.sandbox.admin.faults import FAULT, ServerApi
from zapwire.sandbox.admin.groups import GroupApi
from zapwire.sandbox.admin.passkeys import PasskeyApi
from zapwire.sandbox.admin.phones import AdminApi
from zapwire.sandbox.phones.compose import CONTENTS
from zapwire.sandbox.phones.phone_registry import Phones
from zapwire.sandbox.server.world import World

TEXT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()


def test_every_call():
    world = World()
    phones = Phones(world)
    routes = [*AdminApi(phones).routes(), *PasskeyApi(phones).routes()]
    routes += [*ChannelApi(phones, world).routes(), *GroupApi(phones).routes(), *ServerApi(world).routes()]
    named = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) (/admin[^`]+)` \|", TEXT, re.MULTILINE))
    assert named == {(route.method, re.sub(r"\{(\w+):[^}]+\}", r"{\1}", route.path)) for route in routes}


def test_every_content_and_fault():
    for word in CONTENTS:
        assert f"`{word}" in TEXT, word
    kinds = FAULT.json_schema()["discriminator"]["mapping"]
    for kind in kinds:
        assert f"`{kind}`" in TEXT or f'"kind": "{kind}"' in TEXT, kind
