"""The environment that the engine has to be started with; and another server than WhatsApp, for the sandbox and tests.

`ZAPWIRE_WHATSAPP_SERVER` names a JSON file {"socket_url", "noise_root" (hex), "proxy", "ca" (path), "admin"}. Go
reads the environment that the process was *started* with (docs/engine.md's E19), so the program is executed again with
SSL_CERT_FILE and HTTPS_PROXY set; the Noise root is replaced in memory (`noise_root`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from zapwire.model.errors import SettingsError

SETTING: Final = "ZAPWIRE_WHATSAPP_SERVER"
_MARKER: Final = "ZAPWIRE_WHATSAPP_SERVER_ENVIRONMENT"
ENGINE: Final = {"NEONIZE_BOT_TAG": "off"}
"""What the engine has to be started with, always: else it marks messages to phone numbers as written by an AI
(docs/engine.md's E26)."""
_NAMES: Final = ("SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


@dataclass(frozen=True, slots=True)
class ServerOverride:
    """Another server in WhatsApp's place."""

    socket_url: str
    noise_root: bytes
    proxy: str
    """URL of a CONNECT proxy that leads every WhatsApp host to the server."""
    ca: Path
    admin: str | None = None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """*base* with what Go needs to find and to trust the server."""
        kept = {name: value for name, value in base.items() if name not in _NAMES}
        return kept | {"SSL_CERT_FILE": str(self.ca), "HTTPS_PROXY": self.proxy} | ENGINE


def read_descriptor(path: Path) -> ServerOverride:
    """Read the JSON file at *path*; raises `SettingsError` that says what is wrong with it."""
    try:
        descriptor: Any = json.loads(path.read_text(encoding="utf-8"))
        override = ServerOverride(
            socket_url=str(descriptor["socket_url"]),
            noise_root=bytes.fromhex(descriptor["noise_root"]),
            proxy=str(descriptor["proxy"]),
            ca=Path(descriptor["ca"]),
            admin=descriptor.get("admin"),
        )
    except OSError as error:
        message = f"{SETTING}: cannot read {path}: {error.strerror}"
        raise SettingsError(message, field="whatsapp_server") from error
    except (ValueError, TypeError, KeyError) as error:
        message = (
            f"{SETTING}: {path} is not a server descriptor ({error}); it needs socket_url, noise_root, proxy and ca"
        )
        raise SettingsError(message, field="whatsapp_server") from error
    if not override.ca.is_file():
        message = f"{SETTING}: the CA file {override.ca} named by {path} does not exist"
        raise SettingsError(message, field="whatsapp_server")
    return override


def ensure_environment(descriptor_path: Path) -> ServerOverride:
    """Return the override, with this process' environment fit for it.

    When it is not, the program is executed again with the same arguments and never returns from here. Call it first
    thing: before any thread, file or socket is open. Raises `SettingsError`.
    """
    override = read_descriptor(descriptor_path)
    wanted = override.environment({})
    marker = json.dumps(wanted, sort_keys=True)
    fits = all(os.environ.get(name) == value for name, value in wanted.items())
    if os.environ.get(_MARKER) != marker or not fits:
        _execute_again(override.environment(os.environ) | {_MARKER: marker})
    return override


def ensure_engine_environment() -> None:
    """Execute the program again, once, unless it was started with what the engine needs (`ENGINE`).

    Call it before any thread, file or socket is open. A unit, a container or a shell that sets the variables saves the
    second start.
    """
    if not fits_engine():
        _execute_again({**os.environ, **ENGINE})


def fits_engine() -> bool:
    """Does this process' environment hold what the engine needs? Nothing may have changed it since the start."""
    return all(os.environ.get(name) == value for name, value in ENGINE.items())


def _execute_again(environment: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # The program itself, with the arguments it was started with: `python -m zapwire` and the console script alike.
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environment))  # noqa: S606


def hide_environment() -> None:
    """Take the override's variables from Python's view of the environment, once the engine is loaded.

    Go keeps its own copy. Webhooks go out to real servers: they must neither pass the override's proxy nor trust its
    CA.
    """
    if _MARKER in os.environ:
        for name in ("SSL_CERT_FILE", "HTTPS_PROXY"):
            os.environ.pop(name, None)
