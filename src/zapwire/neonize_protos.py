"""neonize's compiled protobuf modules and engine library, without its client.

`import neonize` runs its client module, which needs libmagic, looks for ffmpeg, configures logging, starts a log
thread and costs some 20 MB (E14 and E20 in docs/engine.md; docs/decisions/0002). Its subpackages stand on their own,
so the package is entered here as a plain namespace: import this module before any `neonize.*` module.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType


def _enter_as_namespace() -> Path:
    spec = PathFinder.find_spec("neonize")
    if spec is None or not spec.submodule_search_locations:
        message = "the package neonize is not installed"
        raise ImportError(message)
    locations = list(spec.submodule_search_locations)
    if "neonize" not in sys.modules:
        package = ModuleType("neonize")
        package.__path__ = locations
        package.__spec__ = spec
        sys.modules["neonize"] = package
    return Path(locations[0])


NEONIZE_FOLDER = _enter_as_namespace()
"""Where neonize is installed; the engine's shared library lies in it."""
