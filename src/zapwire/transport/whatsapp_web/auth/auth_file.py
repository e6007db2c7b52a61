"""A bot's auth database: what both kinds of it, sealed and plain, have to do for this transport.

One SQLite file per bot, made and owned by the engine's store (whatsmeow, store/sqlstore). A file without a device row
is worthless: the engine would start a new pairing with it inside the daemon (docs/engine.md's E4). One that cannot be
opened is never worthless: it is kept as it is, and a person decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from zapwire.model.bots import Identity
from zapwire.model.errors import Blocked, Condition, Conflict, InvalidInput, TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine.store_errors import from_store_text

OPTIONS: Final = "_foreign_keys=on&_synchronous=FULL&_cache_size=-256&_busy_timeout=5000&_txlock=immediate"
"""go-sqlite3's options. FULL, because a lost commit after a power cut would roll a Signal session back and make
messages undecryptable. 256 KiB of cache per connection instead of 2 MiB. Immediate, because a transaction that reads
first and then writes does not wait for another writer: SQLite fails it at once ("database is locked"), and with it the
decryption that it is for.
"""
REST: Final = "_rest="
"""Last in a DSN: the engine pastes it between `file:` and `?_foreign_keys=on` (docs/engine.md's E17)."""
TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'whatsmeow_device'"
QUERY: Final = "SELECT jid, lid, push_name FROM whatsmeow_device LIMIT 1"


@dataclass(frozen=True, slots=True)
class Device:
    """The linked device that an auth database holds."""

    identity: Identity


class AuthFile(Protocol):
    """The auth database of one bot."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def dsn(self) -> str:
        """What this process' engine opens; only after `device` or `prepare`."""

    async def prepare(self) -> None:
        """Make an empty one. There must be none."""

    async def device(self) -> Device | None:
        """The linked device, or None when nothing is paired. No pairing may be under way.

        Raises `Blocked` when the file is there but cannot be opened, or is not there but should be, and
        `TransportError` when that may pass.
        """

    async def bind(self) -> None:
        """Let nobody take it for another bot's from now on, as far as this kind can. After `device`, raises like it."""

    async def copy(self) -> bytes:
        """All of it as one committed state, in the clear, also while the engine writes. Raises like `device`."""

    async def put(self, copy: bytes) -> None:
        """Make one of what `copy` gave, all of it or nothing. Raises `Conflict` when there is one already, and
        `InvalidInput` (bundle) when it is nothing that `copy` gives.
        """

    def for_child(self) -> dict[str, Any]:
        """What the pairing child needs to open it, as JSON; only after `prepare`."""

    def opened_by_engine(self, on_damage: Callable[[Blocked], None]) -> None:
        """From now on this process' engine has the file open, for ever (docs/engine.md's E8).

        *on_damage* is called, on any thread, when something in it turns out not to open.
        """

    async def destroy(self) -> None:
        """Delete the auth state beyond recovery; no error when there is none. Raises `TransportError`."""


def damaged(path: Path, why: str = "") -> Blocked:
    """The end of a bot whose sealed auth database cannot be opened, and *why*."""
    return Blocked(
        f"auth state damaged or wrong key: {why}" if why else "auth state damaged or wrong key",
        action=f"Stop the daemon, restore {path.parent.name}/{path.name} or the master key, and start it again; or log "
        "the bot out here and pair it again. The file is kept as it is until then.",
        condition=Condition.AUTH_DAMAGED,
    )


def missing(path: Path) -> Blocked:
    """The end of a bot whose auth database is gone."""
    return Blocked(
        f"its auth file {path.parent.name}/{path.name} is missing",
        action="Put the file back and connect the bot; or log the bot out here and pair it again.",
        condition=Condition.AUTH_MISSING,
    )


def foreign(path: Path, why: str) -> Blocked:
    """The end of a bot in whose place another one's auth database lies, and *why* it is known to be another's.

    Running it would break both.
    """
    return Blocked(
        f"the auth file {path.parent.name}/{path.name} belongs to another bot: {why}",
        action="Stop the daemon, put every file back to its own bot, and start it again. Nothing was changed.",
        condition=Condition.AUTH_FOREIGN,
    )


def differ(device: Identity, account: Identity) -> bool:
    """Is *device* certainly not one of *account*? A number may change, and either may be known in part only."""
    pairs = ((device.lid, account.lid), (device.phone, account.phone))
    known = [one == other for one, other in pairs if one is not None and other is not None]
    return bool(known) and not any(known)


def unusable(text: str) -> ZapwireError:
    """The error for what SQLite said of an auth database."""
    fallback = TransportError(f"its auth database cannot be used: {text}", condition=Condition.STORE)
    return from_store_text(text) or fallback


def occupied(path: Path) -> Conflict:
    """There is an auth database where one is to be put; nobody knows whose, so it is kept."""
    return Conflict(f"there is an auth file {path.parent.name}/{path.name} already: move it away, or take another id")


def no_state() -> InvalidInput:
    """What was to be put into an auth database is none."""
    return InvalidInput("it holds no auth state of this transport", field="bundle")


def read(query: Callable[[str], Sequence[tuple[Any, ...]]]) -> Device | None:
    """What *query* finds of the linked device; None when nothing is paired."""
    rows = query(QUERY) if query(TABLE) else []
    return read_device(rows[0] if rows else None)


def read_device(row: tuple[Any, ...] | None) -> Device | None:
    """A row that `QUERY` found: texts like `<digits>:<device>@s.whatsapp.net` and `<digits>:<device>@lid`."""
    if row is None:
        return None
    jid, lid, push_name = row
    phone = jid.partition("@")[0].partition(":")[0].partition(".")[0]
    hidden = (lid or "").partition("@")[0].partition(":")[0].partition(".")[0]
    return Device(Identity(f"+{phone}" if phone else None, f"{hidden}@lid" if hidden else None, push_name or None))
