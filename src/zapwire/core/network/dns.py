"""Host names of webhooks and proxies, looked up so that a slow or dead name server stops only those that need it.

The system's `getaddrinfo` blocks, for half a minute when name servers do not answer, and cannot be cancelled. In the
threads that the whole program shares, a few dead names would stop everything else that runs there. So each lookup has
a thread of its own, one for each name, which nobody waits for at the end. Names that did not resolve in time before get
only half of the threads that there may be: others always find one.

Answers are kept for a moment, and longer as a substitute while the name cannot be looked up.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

Addresses = tuple[tuple[socket.AddressFamily, str], ...]
GetAddrInfo = Callable[..., list[Any]]
_Key = tuple[str, int]
"""A name, and the flags it is looked up with."""

FRESH: Final = 10.0
"""Seconds for which an answer is used without asking again."""
STALE: Final = 3600.0
"""Seconds for which it is used when asking leads to nothing."""
PATIENCE: Final = 2.0
"""Seconds until an answer from before is used in place of one that does not come."""
DEADLINE: Final = 10.0
"""Seconds until a lookup counts as failed; its thread may take longer."""
THREADS: Final = 128
"""Lookups at the same time."""
_KEPT: Final = 1000
"""Names of which something is remembered."""
_FLAGS: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


@dataclass(slots=True)
class _Lookup:
    """What is known of one name."""

    addresses: Addresses = ()
    at: float = 0.0
    """When they were looked up, by the event loop's clock."""
    slow: bool = False
    """Did the last lookup fail, or not end in time?"""


class Resolver(AbstractResolver):
    """Looks names up; *getaddrinfo* is the system's unless a test gives another."""

    def __init__(self, getaddrinfo: GetAddrInfo = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._names: dict[_Key, _Lookup] = {}
        self._asking: dict[_Key, asyncio.Future[Addresses]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of *host* as aiohttp wants them. Raises `OSError`."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=_FLAGS)
            for kind, address in await self.addresses(host)
            if family in {socket.AF_UNSPEC, kind}
        ]

    async def close(self) -> None:
        """Nothing has to be waited for."""

    async def addresses(self, host: str, *, complete: bool = False) -> Addresses:
        """The IP addresses of *host*, a name or an address, in the order to try them. Raises `OSError`.

        With *complete* also those of a family that this machine has no network for.
        """
        literal = _literal(host)
        if literal is not None:
            return (literal,)
        key, loop = (host, 0 if complete else socket.AI_ADDRCONFIG), asyncio.get_running_loop()
        known = self._names.get(key) or _Lookup()
        if known.addresses and loop.time() - known.at < FRESH:
            return known.addresses
        substitute = known.addresses if loop.time() - known.at < STALE else ()
        try:
            async with asyncio.timeout(PATIENCE if substitute else DEADLINE):
                return await asyncio.shield(self._ask(key))
        except TimeoutError:
            self._remember(key).slow = True
            failure = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        except OSError as error:
            failure = error
        if substitute:
            return substitute
        raise failure

    def _ask(self, key: _Key) -> asyncio.Future[Addresses]:
        """The lookup that is under way, or a new one. Raises `OSError` when there are too many."""
        if key in self._asking:
            return self._asking[key]
        slow = key in self._names and self._names[key].slow
        if len(self._asking) >= (THREADS // 2 if slow else THREADS):
            raise OSError(errno.EAGAIN, "too many names are being looked up")
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._look_up, args=(key, loop), name="name-lookup", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            raise OSError(errno.EAGAIN, "there is no thread to look a name up") from None
        self._asking[key] = future = loop.create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits any more
        return future

    def _look_up(self, key: _Key, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: ask the system, and hand the answer to the event loop."""
        found: Addresses | Exception
        try:
            places = self._getaddrinfo(key[0], None, type=socket.SOCK_STREAM, flags=key[1])
            found = tuple(dict.fromkeys((place[0], _address(place[4])) for place in places))
        except Exception as error:  # noqa: BLE001 - handed on
            found = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._answered, key, found)

    def _answered(self, key: _Key, found: Addresses | Exception) -> None:
        name, future = self._remember(key), self._asking.pop(key)
        if isinstance(found, Exception):
            name.slow = True
            future.set_exception(found if isinstance(found, OSError) else OSError(errno.EINVAL, "not a name"))
        else:
            name.addresses, name.at, name.slow = found, asyncio.get_running_loop().time(), False
            future.set_result(found)

    def _remember(self, key: _Key) -> _Lookup:
        if key not in self._names and len(self._names) >= _KEPT:
            del self._names[next(iter(self._names))]
        return self._names.setdefault(key, _Lookup())


def _literal(host: str) -> tuple[socket.AddressFamily, str] | None:
    """An address that needs no lookup."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return (socket.AF_INET if version == 4 else socket.AF_INET6), host


def _address(place: tuple[Any, ...]) -> str:
    """The address of a socket address, with its scope where it has one."""
    scope = place[3] if len(place) == 4 else 0
    return f"{place[0]}%{scope}" if scope and "%" not in str(place[0]) else str(place[0])
