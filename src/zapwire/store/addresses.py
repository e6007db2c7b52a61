"""Which phone number belongs to which LID, as learned from messages and receipts; fills in the missing half."""

from __future__ import annotations

from dataclasses import replace

from zapwire.jid import LID_SERVER, PHONE_SERVER
from zapwire.model import BotId, Party
from zapwire.store.db import Transaction
from zapwire.store.values import Connection, DamagedValue


def learn(transaction: Transaction, bot: BotId, party: Party) -> Party:
    """Store the pair that *party* tells, if it tells both; returns it with all that is known."""
    party = _named(party)
    if party.phone is None or party.lid is None:
        return complete(transaction.sql, bot, party)
    transaction.sql.execute(
        "INSERT INTO addresses (bot, lid, phone) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET phone = excluded.phone WHERE phone <> excluded.phone",
        (bot, party.lid, transaction.sql.values.veil("addresses.phone", party.phone)),
    )
    return party


def complete(sql: Connection, bot: BotId, party: Party) -> Party:
    """*party* with its other address, if that is known."""
    party = _named(party)
    if party.lid is not None and party.phone is None:
        return replace(party, phone=_phone(sql, bot, party.lid))
    if party.phone is not None and party.lid is None:
        query = "SELECT lid FROM addresses WHERE bot = ? AND phone = ?"
        row = sql.execute(query, (bot, sql.values.veil("addresses.phone", party.phone))).fetchone()
        return replace(party, lid=row[0]) if row else party
    return party


def _phone(sql: Connection, bot: BotId, lid: str) -> str | None:
    row = sql.execute("SELECT phone FROM addresses WHERE bot = ? AND lid = ?", (bot, lid)).fetchone()
    try:
        return None if row is None else sql.values.unveil("addresses.phone", f"{bot}/{lid}", row[0])
    except DamagedValue:
        return None  # as if it were not known yet; the next message from there tells it again


def _named(party: Party) -> Party:
    """*party* with what its JID says by itself."""
    user, _, server = party.jid.partition("@")
    if server == PHONE_SERVER and party.phone is None:
        return replace(party, phone=f"+{user}")
    if server == LID_SERVER and party.lid is None:
        return replace(party, lid=party.jid)
    return party
