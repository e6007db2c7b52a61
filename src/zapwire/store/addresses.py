"""Which phone number belongs to which LID, as learned from messages and receipts; fills in the missing half."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from zapwire.jid import LID_SERVER, PHONE_SERVER
from zapwire.model import BotId, Party
from zapwire.store.db import Transaction


def learn(transaction: Transaction, bot: BotId, party: Party) -> Party:
    """Store the pair that *party* tells, if it tells both; returns it with all that is known."""
    party = _named(party)
    if party.phone is None or party.lid is None:
        return complete(transaction.sql, bot, party)
    transaction.sql.execute(
        "INSERT INTO addresses (bot, lid, phone) VALUES (?, ?, veil('addresses.phone', ?)) "
        "ON CONFLICT DO UPDATE SET phone = excluded.phone WHERE phone <> excluded.phone",
        (bot, party.lid, party.phone),
    )
    return party


def complete(sql: sqlite3.Connection, bot: BotId, party: Party) -> Party:
    """*party* with its other address, if that is known."""
    party = _named(party)
    if party.lid is not None and party.phone is None:
        query = "SELECT unveil('addresses.phone', phone) FROM addresses WHERE bot = ? AND lid = ?"
        row = sql.execute(query, (bot, party.lid)).fetchone()
        return replace(party, phone=row[0]) if row else party
    if party.phone is not None and party.lid is None:
        query = "SELECT lid FROM addresses WHERE bot = ? AND phone = veil('addresses.phone', ?)"
        row = sql.execute(query, (bot, party.phone)).fetchone()
        return replace(party, lid=row[0]) if row else party
    return party


def _named(party: Party) -> Party:
    """*party* with what its JID says by itself."""
    user, _, server = party.jid.partition("@")
    if server == PHONE_SERVER and party.phone is None:
        return replace(party, phone=f"+{user}")
    if server == LID_SERVER and party.lid is None:
        return replace(party, lid=party.jid)
    return party
