"""A bot as one sealed file: taken out of this installation, or brought into it.

A copy of a running bot is a backup: once the bot has gone on, the copy's Signal sessions are behind, and running both
breaks the sessions for good. So a *move* stops the bot first, and marks it as moved in the moment the bundle is made:
from then on it does not start here, unless that bundle (or a later one) is brought back.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from typing import Any, Final

from zapwire.core.bots.proxies import Proxies
from zapwire.core.bots.registry import BotRegistry
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, BotView, Identity, TransportKind
from zapwire.model.errors import Conflict, InvalidInput
from zapwire.model.ignoring import check_ignore
from zapwire.model.jid import COUNTRIES
from zapwire.model.pairing import PairingOptions
from zapwire.model.unset import Keep
from zapwire.runtime import json_encoder
from zapwire.runtime.one_at_a_time import SerialThread
from zapwire.transport.registry import TransportRegistry
from zapwire.vault import bundle
from zapwire.vault.bundle import BundleError, WrongPassphrase

PASSPHRASE_SHORTEST: Final = 12
LARGEST: Final = 48 << 20
"""Bytes of a bundle that an import takes, and so of one that an export gives."""
_VERSION: Final = 1
_PERHAPS: Final = ("phone", "lid", "push_name", "proxy", "default_country")


class BotTransfer:
    """Exports and imports bots."""

    def __init__(self, registry: BotRegistry, transports: TransportRegistry, proxies: Proxies) -> None:
        self._proxies = proxies
        self._registry = registry
        self._transports = transports
        self._stretching = SerialThread("exports and imports", most=8, retry_after=5)
        """Each takes 128 MiB and 0.4 s of processor for the passphrase alone."""
        self._arriving = asyncio.Lock()
        """Held from the look whether the account is here until it is."""

    async def export(self, bot: str, passphrase: str, *, move: bool) -> bytes:
        """The bot's auth state and settings under *passphrase*; with *move* it does not start here any more.

        Raises `NotFound`, `InvalidInput` (passphrase), `Conflict` when no account is linked or no import would take
        what comes out, `NeedsPerson` when the auth state cannot be read, and `TooMany`.
        """
        if len(passphrase) < PASSPHRASE_SHORTEST:
            raise InvalidInput(f"at least {PASSPHRASE_SHORTEST} characters", field="passphrase")
        found = self._registry.get(bot)
        if not found.current.linked:
            raise Conflict("no account is linked to this bot: there is nothing to export")

        async def make() -> bytes:
            state = await self._transports.auth_state(found.current.row.transport).state(
                found.current.bot, at_rest=move
            )
            made = await self._stretching.run(bundle.pack, passphrase, _write(found.current.row, state))
            if len(made) > LARGEST:
                raise Conflict(f"the bundle would have {len(made)} bytes, of which an import takes {LARGEST} at most")
            return made

        with self._stretching.ticket():  # before the bot is stopped
            return await found.hand_over(make) if move else await make()

    async def bring(self, content: bytes, passphrase: str, *, bot: str | None = None, start: bool = True) -> BotView:
        """Make a bot of a bundle, called *bot* or as it was; with *start* it connects.

        Raises `InvalidInput` (bundle, passphrase, id), `Conflict` when the account or the id is here already, and
        `TooMany`.
        """
        try:
            with self._stretching.ticket():
                row, state, way = _read(await self._stretching.run(bundle.unpack, passphrase, content))
        except WrongPassphrase as error:
            raise InvalidInput(str(error), field="passphrase") from None
        except BundleError as error:
            raise InvalidInput(str(error), field="bundle") from None
        proxy = await self._proxies.accept(way, row.transport, check=False)
        row = replace(row, id=row.id if bot is None else BotId(bot), proxy=None if isinstance(proxy, Keep) else proxy)
        return await self._registry.complete(self._settle(row, state, start=start), f"import-{row.id}")

    async def _settle(self, row: BotRow, state: bytes, *, start: bool) -> BotView:
        async with self._arriving:
            self._refuse_twice(row)
            return await self._place(row, state, start=start)

    async def _place(self, row: BotRow, state: bytes, *, start: bool) -> BotView:
        auth_state = self._transports.auth_state(row.transport)

        async def place() -> None:
            await auth_state.adopt(row.id, state)

        async def replace_older() -> None:
            await auth_state.forget(row.id)  # what it moved away with is behind the bundle
            await place()

        if self._registry.has(row.id):
            return await self._registry.get(row.id).arrive(replace_older, start=start)
        return await self._registry.admit(row, place, start=start)

    def _refuse_twice(self, row: BotRow) -> None:
        for other in self._registry.all():
            here = other.current.row
            same = _same(here.identity, row.identity)
            if here.id == row.id and not (here.moved and same):
                raise Conflict("there is a bot with this id already: import it under another id", field="id")
            if here.id != row.id and same:
                raise Conflict(
                    f"the account is linked to the bot {here.id} here: two copies of one device break each other; log "
                    "that bot out or delete it first"
                )


def _same(one: Identity, other: Identity) -> bool:
    return (one.lid is not None and one.lid == other.lid) or (one.phone is not None and one.phone == other.phone)


def _write(row: BotRow, state: bytes) -> bytes:
    identity = row.identity
    manifest = {
        "version": _VERSION,
        "id": row.id,
        "name": row.name,
        "autostart": row.autostart,
        "phone": identity.phone,
        "lid": identity.lid,
        "push_name": identity.push_name,
        "proxy": None if row.proxy is None else row.proxy.url,
        "default_country": row.default_country,
        "pairing_options": asdict(row.pairing_options),
        "ignore": row.ignore,
        "transport": row.transport,
        "exported_at": timestamps.to_ms(timestamps.now()),
    }
    return json_encoder.encode(manifest).encode() + b"\n" + state


def _read(content: bytes) -> tuple[BotRow, bytes, str | None]:
    """The bot, its auth state and its proxy's URL. Raises `BundleError`."""
    line, _, state = content.partition(b"\n")
    try:
        manifest = json.loads(line)
        if manifest["version"] != _VERSION:
            message = "the bundle was made by a newer zapwire"
            raise BundleError(message)
        bot, name = _text(manifest["id"]), _text(manifest["name"])
        phone, lid, push_name, proxy, country = (_text_or_none(manifest.get(one)) for one in _PERHAPS)
        row = BotRow(
            BotId(bot), name, bool(manifest["autostart"]), timestamps.now(), identity=Identity(phone, lid, push_name)
        )
        row = replace(row, default_country=country if country in COUNTRIES else None, transport=_kind(manifest))
        row = replace(row, pairing_options=PairingOptions(**manifest.get("pairing_options") or {}).checked())
        ignore = manifest.get("ignore")
        row = replace(row, ignore=None if ignore is None else check_ignore(map(_text, ignore)))
    except (ValueError, LookupError, TypeError, RecursionError, InvalidInput):
        message = "the bundle does not hold what `zapwire bot export` writes"
        raise BundleError(message) from None
    return row, state, proxy


def _kind(manifest: dict[str, Any]) -> TransportKind:
    """What connects the bot; before 0.2.0 there was one kind only. Raises `ValueError` for one that is not known."""
    return TransportKind(manifest.get("transport", TransportKind.WHATSAPP_WEB))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
