"""Persons: whoever has an address, under one id that stays the same whichever addresses are known.

A person has any number of addresses: phone numbers (as JIDs) and LIDs, as messages tell them. What is kept of a message
names an address; whose that is, is looked up here, so that nothing else has to be changed when more becomes known.

* A LID is of one person for good, and a person has one. A phone number may change hands: it is with whom it was heard
  last.
* Two persons that turn out to be one are merged: the one that was known first stays, the id of the other one still
  leads to it (`merges`).
* A number can be written otherwise than the account that it means (Brazil's ninth digit): such an `alias` leads to the
  person as well, and is not shown as its address.
* `Party.jid` is the address by which the person was known first, so it stays the same as well; of the addresses that
  were given together the LID.

Whatever is no person (a group, a broadcast list, a channel) is its own id, by its JID.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from typing_extensions import override

from zapwire.model.bots import BotId
from zapwire.model.jid import LID_SERVER, PERSON_ID, PHONE_SERVER, phone_jid
from zapwire.model.messages import KnownParty, Party
from zapwire.store.ports import PersonRepository
from zapwire.store.sqlite.repository import Repository

_PLACE: Final = "person_addresses.address"
_MIGRATED: Final = 1
"""Up to here `told` is that of addresses from before there were persons, or of aliases."""
_OF = (
    "SELECT person, address, told FROM person_addresses WHERE bot = ?1 AND person IN "
    "(SELECT person FROM person_addresses WHERE bot = ?1 AND address IN (?2, ?3)) ORDER BY told"
)


@dataclass(slots=True)
class _Person:
    """A person as it is stored; *told* says when each address was, in an order of its own."""

    id: str
    addresses: dict[str, int]

    def latest(self, server: str) -> str | None:
        """The address that was heard last, of those on *server*; no alias."""
        found = [
            (told, address) for address, told in self.addresses.items() if told >= 0 and address.endswith(f"@{server}")
        ]
        return max(found)[1] if found else None

    @property
    def phone_count(self) -> int:
        """How many numbers."""
        return sum(address.endswith(f"@{PHONE_SERVER}") for address in self.addresses)

    @property
    def since(self) -> int:
        """When it was known first."""
        return min(abs(told) for told in self.addresses.values())


def _names(party: Party) -> tuple[str | None, str | None]:
    """The LID and the phone number's JID that *party* tells."""
    lid = party.lid or (party.jid if party.jid.endswith(f"@{LID_SERVER}") else None)
    phone = phone_jid(party.phone) if party.phone else None
    return lid, phone or (party.jid if party.jid.endswith(f"@{PHONE_SERVER}") else None)


def _having(persons: Iterable[_Person], address: str | None) -> _Person | None:
    return next((person for person in persons if address in person.addresses), None)


def _known(person: _Person) -> KnownParty:
    told = person.addresses
    addresses = sorted(told, key=lambda address: (told[address] < 0, abs(told[address]), address))
    phone, lid = person.latest(PHONE_SERVER), person.latest(LID_SERVER)
    return KnownParty(Party(addresses[0], _number(phone), lid, person.id), tuple(addresses))


def _nobody(party: Party) -> KnownParty:
    return KnownParty(replace(party, id=party.jid or None), (party.jid,), settled=True)


def _number(phone: str | None) -> str | None:
    return None if phone is None else f"+{phone.partition('@')[0]}"


class SqlitePersons(Repository, PersonRepository):
    """See `PersonRepository`."""

    @override
    def learn(self, bot: BotId, party: Party) -> KnownParty:
        recent, key = self._values.recent, (party.jid, party.phone, party.lid)
        known: KnownParty | None = recent.get(bot, key)
        if known is not None:
            return known
        lid, phone = _names(party)
        if lid is None and phone is None:
            return _nobody(party)
        version = recent.version(bot)
        found = self._find(bot, lid, phone)
        by_lid, by_phone = _having(found, lid), _having(found, phone)
        if (by_lid is not None or lid is None) and (by_phone is not None or phone is None):
            one, other = by_lid or by_phone, by_phone or by_lid
            assert one is not None and other is not None  # noqa: S101, PT018 - one of the addresses is there
            if one is other:
                if phone is not None and lid is not None and one.latest(PHONE_SERVER) != phone:
                    self._put(bot, one, phone)  # it has changed its number back
                known = replace(_known(one), settled=self._is_settled(bot, one))
                self._unit.after_commit.append(partial(recent.put, bot, key, known, version))
                return known
        return self._change(bot, (lid, phone), (by_lid, by_phone))

    def _change(
        self,
        bot: BotId,
        told: tuple[str | None, str | None],
        found: tuple[_Person | None, _Person | None],
    ) -> KnownParty:
        """Store what is new of the LID and the phone number that were *told*, and whose they were *found* to be."""
        (lid, phone), (by_lid, by_phone) = told, found
        if lid is None or by_phone is None or by_phone.latest(LID_SERVER) not in {None, lid}:
            # Nobody has the number, or somebody who has another LID and so has the number no more.
            person = by_lid or (by_phone if lid is None else None) or _Person(f"prs_{secrets.token_hex(12)}", {})
            for address in (lid, phone):
                if address is not None and address not in person.addresses:
                    self._put(bot, person, address)
            return _known(person)
        if by_lid is None:
            self._put(bot, by_phone, lid)
            return _known(by_phone)
        return self._merge(bot, by_lid, by_phone)

    def _merge(self, bot: BotId, one: _Person, other: _Person) -> KnownParty:
        """Two persons are one: the one that was known first."""
        stays, goes = sorted((one, other), key=lambda person: (person.since, person.id))
        self._values.recent.change(bot)
        where = (stays.id, bot, goes.id)
        self._sql.execute("UPDATE person_addresses SET person = ? WHERE bot = ? AND person = ?", where)
        self._sql.execute("UPDATE merged_persons SET person = ? WHERE bot = ? AND person = ?", where)
        self._sql.execute("INSERT INTO merged_persons (person, bot, gone) VALUES (?, ?, ?)", where)
        merged = _Person(stays.id, stays.addresses | goes.addresses)
        return replace(_known(merged), gone=(goes.id,))

    @override
    def alias(self, bot: BotId, party: Party, jid: str) -> KnownParty:
        known = self.learn(bot, party)
        if jid in known.addresses or known.party.id is None:
            return known
        [person] = [one for one in self._find(bot, known.addresses[0], None) if one.id == known.party.id]
        other = _having(self._find(bot, None, jid), jid)
        told, gone = time.time_ns() // 1000, known.gone
        if other is not None and set(other.addresses) == {jid}:  # whom nobody knew yet
            told = abs(other.addresses[jid]) or 1  # 0: from before there were persons
            merged = self._merge(bot, person, other)
            person = _Person(str(merged.party.id), person.addresses)
            gone += merged.gone
        self._store(bot, person, jid, -told)
        return replace(_known(person), gone=gone)

    @override
    def complete(self, bot: BotId, party: Party) -> Party:
        return self.look_up(bot, party).party

    @override
    def look_up(self, bot: BotId, party: Party) -> KnownParty:
        known: KnownParty | None = self._values.recent.get(bot, (party.jid, party.phone, party.lid))
        if known is not None:  # never put there from here: a reader's snapshot may be older than the last change
            return known
        lid, phone = _names(party)
        if lid is None and phone is None:
            return _nobody(party)
        person = _having(self._find(bot, lid, phone), lid or phone)
        if person is None:
            return KnownParty(replace(party, phone=_number(phone), lid=lid), tuple(one for one in (lid, phone) if one))
        return _known(person)

    @override
    def by_id(self, bot: BotId, person: str) -> Party | None:
        rows = self._sql.execute(
            "SELECT person, address, told FROM person_addresses WHERE bot = ?1 AND person = coalesce("
            "(SELECT person FROM merged_persons WHERE bot = ?1 AND gone = ?2), ?2)",
            (bot, person),
        )
        found = self._persons(bot, rows)
        return _known(found[0]).party if found else None

    @override
    def merges(self) -> list[tuple[str, str]]:
        return self._sql.execute("SELECT gone, person FROM merged_persons").fetchall()

    @override
    def ids_of(self, chat: str) -> list[tuple[BotId, KnownParty, list[str]]]:
        if PERSON_ID.fullmatch(chat):
            query = (
                "SELECT bots.id, coalesce(merged_persons.person, ?1) FROM bots "
                "LEFT JOIN merged_persons ON merged_persons.bot = bots.id AND merged_persons.gone = ?1 "
                "WHERE bots.deleted_upto IS NULL"
            )
            key: str | bytes = chat
        else:
            query = (
                "SELECT bot, person FROM person_addresses WHERE address = ? "
                "AND bot IN (SELECT id FROM bots WHERE deleted_upto IS NULL)"
            )
            key = self._values.veil(_PLACE, chat)
        found = []
        for name, person in self._sql.execute(query, (key,)).fetchall():
            bot = BotId(name)
            rows = self._sql.execute(
                "SELECT person, address, told FROM person_addresses WHERE bot = ? AND person = ?", (bot, person)
            )
            old = self._sql.execute("SELECT gone FROM merged_persons WHERE bot = ? AND person = ?", (bot, person))
            ids = [person, *(row[0] for row in old)]
            found += [(bot, _known(one), ids) for one in self._persons(bot, rows)]
        return found

    def _is_settled(self, bot: BotId, person: _Person) -> bool:
        if min(person.addresses.values()) <= _MIGRATED or person.phone_count > 1:
            return False
        query = "SELECT 1 FROM merged_persons WHERE bot = ? AND person = ? LIMIT 1"
        return self._sql.execute(query, (bot, person.id)).fetchone() is None

    def _find(self, bot: BotId, lid: str | None, phone: str | None) -> list[_Person]:
        veiled = [self._values.veil(_PLACE, one) if one is not None else None for one in (lid, phone)]
        return self._persons(bot, self._sql.execute(_OF, (bot, *veiled)))

    def _persons(self, bot: BotId, rows: Iterable[tuple[str, bytes, int]]) -> list[_Person]:
        found: dict[str, _Person] = {}
        for person, veiled, told in rows:
            address = self._values.row("person_addresses", f"{bot}/{person}/{told}").unveil("address", veiled)
            if address is not None:  # else as if it were not known yet; the next message from there tells it again
                found.setdefault(person, _Person(person, {})).addresses[address] = told
        return list(found.values())

    def _put(self, bot: BotId, person: _Person, address: str) -> None:
        """*address* is this person's now, whosever it was."""
        self._store(bot, person, address, max(time.time_ns() // 1000, *(t + 1 for t in person.addresses.values()), 0))

    def _store(self, bot: BotId, person: _Person, address: str, told: int) -> None:
        self._values.recent.change(bot)
        self._sql.execute(
            "INSERT INTO person_addresses (bot, address, person, told) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET person = excluded.person, told = excluded.told",
            (bot, self._values.veil(_PLACE, address), person.id, told),
        )
        person.addresses[address] = told
