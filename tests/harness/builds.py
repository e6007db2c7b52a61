"""Which builds of the engine the transport under test knows: all; with ZAPWIRE_TEST_NO_BUILD=1 none, as on arm64."""

from __future__ import annotations

import os

from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.transport.whatsapp_web.engine.private import builds

KNOWN: tuple[builds.Build, ...] = () if os.environ.get("ZAPWIRE_TEST_NO_BUILD") == "1" else builds.KNOWN


def is_known() -> bool:
    """Is the engine of this machine one that is looked into?"""
    return builds.find(library_path(), KNOWN) is not None
