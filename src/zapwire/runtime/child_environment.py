"""The environment of child processes: what a program needs to run, and nothing that is somebody's secret.

An allow-list: whatever else is set for the daemon, its own settings, a token of the cloud it runs in, the sockets of
systemd, is none of a child's business, and stands in `/proc/<pid>/environ` for whoever may look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SYSTEM: Final = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR", "TERM"})
_LOADER: Final = frozenset({"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV"})
_NETWORK: Final = frozenset(
    {"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}
    | {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}
)
"""How the engine gets out; a proxy may have a password."""
_GO: Final = frozenset({"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"})
_BEGINNINGS: Final = ("LC_", "PYTHON", "NEONIZE_")
"""Of what sets up the locale, Python and the engine."""


def for_children(environment: Mapping[str, str], *, network: bool) -> dict[str, str]:
    """What of *environment* a child gets; *network*: it connects to WhatsApp, so it needs proxy and certificates."""
    names = _SYSTEM | _LOADER | _GO | (_NETWORK if network else frozenset())
    return {name: value for name, value in environment.items() if name in names or name.startswith(_BEGINNINGS)}
