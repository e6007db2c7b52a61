"""Who has which addresses: whatever is told in which order, the same person has the same id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.keys import KEYS
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.jid import PERSON_ID
from zapwire.model.messages import KnownParty, Message, MessageId, Party
from zapwire.store.sqlite.migrations import prepare
from zapwire.store.sqlite.repositories import persons
from zapwire.store.sqlite.row_cache import RowCache
from zapwire.store.sqlite.sealed_values import connect
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

BOT = BotId("shop")
LID, PHONE = "222@lid", "+4915510000002"
JID = "4915510000002@s.whatsapp.net"
BOTH, BY_LID, BY_PHONE = Party(LID, PHONE, LID), Party(LID, None, LID), Party(JID, PHONE)
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@contextmanager
def opened() -> Iterator[SqliteUnitOfWork]:
    sql = connect(":memory:")
    prepare(KEYS, sql)
    sql.execute("INSERT INTO bots (id, autostart, created_at) VALUES ('shop', 1, 0)")
    yield SqliteUnitOfWork(sql)
    sql.close()


def learn(transaction: SqliteUnitOfWork, party: Party) -> KnownParty:
    known = transaction.persons.learn(BOT, party)
    committed(transaction)
    return known


def committed(transaction: SqliteUnitOfWork) -> None:
    for step in transaction.after_commit:
        step()
    transaction.after_commit.clear()


@pytest.mark.parametrize(
    ("told", "jid"),
    [
        ([BOTH, BY_LID, BY_PHONE], LID),
        ([BY_LID, BOTH, BY_PHONE], LID),
        ([BY_PHONE, BOTH, BY_LID], JID),
        ([BY_LID, BY_PHONE, BOTH, BY_LID, BY_PHONE], LID),
        ([BY_PHONE, BY_LID, BOTH, BY_LID, BY_PHONE], JID),
    ],
)
def test_a_person_has_one_id_and_one_jid_that_stay_the_first(told: list[Party], jid: str):
    with opened() as transaction:
        first = learn(transaction, told[0]).party
        for party in told[1:]:
            learn(transaction, party)
        for party in (BOTH, BY_LID, BY_PHONE):
            assert learn(transaction, party).party == Party(jid, PHONE, LID, first.id)
            assert transaction.persons.complete(BOT, party) == Party(jid, PHONE, LID, first.id)
        assert first.id is not None
        assert PERSON_ID.fullmatch(first.id)


def test_two_persons_that_are_one_are_found_by_both_ids():
    with opened() as transaction:
        one, other = learn(transaction, BY_LID).party, learn(transaction, BY_PHONE).party
        assert one.id != other.id
        known = learn(transaction, BOTH)
        assert (known.party.id, known.gone) == (one.id, (other.id,))
        assert learn(transaction, BOTH).gone == ()
        for old in (one.id, other.id):
            assert transaction.persons.by_id(BOT, str(old)) == known.party
            [(bot, found, ids)] = transaction.persons.ids_of(str(old))
            assert (bot, found.party, set(ids)) == (BOT, known.party, {one.id, other.id})
        assert transaction.persons.merges() == [(other.id, one.id)]
        assert transaction.persons.by_id(BOT, "prs_" + 24 * "0") is None


def test_a_number_that_changes_hands_goes_and_its_former_owner_stays():
    with opened() as transaction:
        old = learn(transaction, BOTH).party
        new = learn(transaction, Party("333@lid", PHONE, "333@lid")).party
        assert new.id != old.id
        assert learn(transaction, BY_PHONE).party.id == new.id
        assert learn(transaction, BY_LID).party == Party(LID, None, LID, old.id)
        moved = learn(transaction, Party(LID, "+4915510000009", LID)).party
        assert (moved.id, moved.phone, moved.jid) == (old.id, "+4915510000009", LID)


def test_a_person_who_gets_another_number_stays_the_same_and_the_new_one_counts():
    with opened() as transaction:
        person = learn(transaction, BOTH).party
        changed = learn(transaction, Party(LID, "+4915510000009", LID))
        assert (changed.party.id, changed.party.phone) == (person.id, "+4915510000009")
        assert set(changed.addresses) == {LID, JID, "4915510000009@s.whatsapp.net"}
        assert learn(transaction, BOTH).party.phone == PHONE, "and back"
        assert learn(transaction, BY_PHONE).party.id == person.id


TYPED = "5584991234567@s.whatsapp.net"
ACCOUNT = Party("444@lid", "+558491234567", "444@lid")


@pytest.mark.parametrize("first", ["typed", "account", "alias"])
def test_a_number_that_is_dialled_otherwise_leads_to_the_account_and_is_not_shown_as_its_address(first: str):
    with opened() as transaction:
        before = {
            "typed": lambda: learn(transaction, Party(TYPED)),
            "account": lambda: learn(transaction, ACCOUNT),
            "alias": lambda: transaction.persons.alias(BOT, ACCOUNT, TYPED),
        }[first]()
        for _ in range(2):
            known = transaction.persons.alias(BOT, ACCOUNT, TYPED)
            assert known.party == Party("444@lid", "+558491234567", "444@lid", before.party.id)
            assert learn(transaction, Party(TYPED)).party == known.party
            assert learn(transaction, ACCOUNT).party == known.party


def test_a_number_from_before_there_were_persons_is_not_shown_either_when_it_leads_to_another_account():
    with opened() as transaction:
        old = learn(transaction, Party(TYPED)).party
        transaction.sql.execute("UPDATE person_addresses SET told = 0")  # as schema 16 has those of old messages
        known = transaction.persons.alias(BOT, ACCOUNT, TYPED)
        assert known.party == Party("444@lid", "+558491234567", "444@lid", old.id)
        assert learn(transaction, Party(TYPED)).party == known.party
        assert transaction.persons.look_up(BOT, Party(TYPED)).party == known.party


def test_a_number_that_is_dialled_otherwise_is_not_shown_while_the_account_s_own_is_not_known():
    hidden = Party("444@lid", None, "444@lid")
    with opened() as transaction:
        known = transaction.persons.alias(BOT, hidden, TYPED)
        assert (known.party.jid, known.party.phone, known.party.lid) == ("444@lid", None, "444@lid")
        assert learn(transaction, Party(TYPED)).party == known.party
        assert learn(transaction, ACCOUNT).party == replace(known.party, phone=ACCOUNT.phone)
        typed = f"+{TYPED.partition('@')[0]}"
        assert learn(transaction, replace(ACCOUNT, phone=typed)).party.phone == typed, "WhatsApp says so itself"
        assert learn(transaction, ACCOUNT).party.phone == ACCOUNT.phone


@pytest.mark.parametrize("jid", ["120363000000000001@g.us", "123@broadcast", "status@broadcast", "1@newsletter"])
def test_what_is_no_person_is_its_own_id(jid: str):
    with opened() as transaction:
        assert learn(transaction, Party(jid)) == KnownParty(Party(jid, id=jid), (jid,), settled=True)
        assert transaction.sql.execute("SELECT count(*) FROM person_addresses").fetchone() == (0,)


def test_bots_know_persons_apart():
    with opened() as transaction:
        transaction.sql.execute("INSERT INTO bots (id, autostart, created_at) VALUES ('other', 1, 0)")
        mine, theirs = learn(transaction, BOTH).party, transaction.persons.learn(BotId("other"), BOTH).party
        assert mine.id != theirs.id
        assert {bot for bot, _, _ in transaction.persons.ids_of(JID)} == {BOT, BotId("other")}
        transaction.sql.execute("PRAGMA foreign_keys = ON")
        transaction.sql.execute("DELETE FROM bots WHERE id = 'other'")
        assert {bot for bot, _, _ in transaction.persons.ids_of(JID)} == {BOT}


def test_what_is_known_of_a_person_is_read_once_and_anew_after_each_change():
    with opened() as transaction:
        first = learn(transaction, BOTH)
        statements: list[str] = []
        learn(transaction, BOTH)
        transaction.sql.set_trace_callback(statements.append)
        assert learn(transaction, BOTH).party == first.party
        assert statements == []
        transaction.persons.learn(BOT, BY_PHONE)  # read, and not over before the next
        changed = learn(transaction, Party("333@lid", PHONE, "333@lid"))
        assert learn(transaction, BY_PHONE).party == changed.party
        assert learn(transaction, BY_LID).party == Party(LID, None, LID, first.party.id)


def test_a_bot_that_is_made_anew_knows_nobody():
    with opened() as transaction:
        old = learn(transaction, BOTH).party
        learn(transaction, BOTH)
        transaction.sql.execute("PRAGMA foreign_keys = ON")
        transaction.sql.execute("DELETE FROM bots WHERE id = 'shop'")
        transaction.bots.insert(BotRow(BOT, "Shop", autostart=True, created_at=NOW))
        assert learn(transaction, BOTH).party.id != old.id
        assert learn(transaction, BY_LID).party.id == learn(transaction, BOTH).party.id


def test_what_was_read_before_a_change_is_not_kept():
    recent: RowCache[str] = RowCache(kept=3)
    version = recent.version("a")
    recent.change("a")
    recent.put("a", 1, "old", version)
    assert recent.get("a", 1) is None
    recent.put("a", 1, "new", recent.version("a"))
    assert recent.get("a", 1) == "new"
    for group in "bcdef":  # more groups than it counts the changes of
        recent.change(group)
        assert recent.get(group, 1) is None
    assert recent.get("a", 1) is None
    for number in range(5):
        recent.put("a", number, str(number), recent.version("a"))
    assert [recent.get("a", number) for number in range(5)] == [None, None, "2", "3", "4"]


def store(transaction: SqliteUnitOfWork, number: str, party: Party) -> bool:
    known = learn(transaction, party)
    message = Message(MessageId(number), known.party, known.party, False, NOW, TextContent(text="hi"))  # noqa: FBT003
    return transaction.messages.insert(BOT, message, known, known)


PEOPLE = [(f"{number}@lid", f"+49151000000{number}") for number in (1, 2)]
TOLD = st.tuples(
    st.sampled_from("ABC"), st.sampled_from(PEOPLE), st.sampled_from(["lid", "phone", "both", "phone first"])
)


def party(person: tuple[str, str], how: str) -> Party:
    lid, phone = person
    jid = persons.phone_jid(phone)
    return {
        "lid": Party(lid, None, lid),
        "phone": Party(jid, phone),
        "both": Party(lid, phone, lid),
        "phone first": Party(jid, phone, lid),
    }[how]


@settings(max_examples=200, deadline=None)
@given(st.lists(TOLD, max_size=14))
def test_a_message_that_comes_again_is_known_by_whichever_address(told: list[tuple[str, tuple[str, str], str]]):
    """A copy counts as the same as soon as its addresses are known to be the same person's."""
    with opened() as transaction:
        united: dict[str, set[str]] = {}
        stored: set[tuple[str, str]] = set()
        for number, person, how in told:
            given_ = party(person, how)
            names = {
                name for name in (given_.jid, given_.lid, given_.phone and persons.phone_jid(given_.phone)) if name
            }
            group = set().union(names, *(united.get(name, {name}) for name in names))
            for name in group:
                united[name] = group
            before = any((number, name) in stored for name in group)
            assert store(transaction, number, given_) is not before
            stored |= {(number, name) for name in names}
            assert transaction.persons.look_up(BOT, given_).addresses.count(given_.jid) == 1
            assert set(transaction.persons.look_up(BOT, given_).addresses) == group
            for name in group:
                assert transaction.messages.came_from(BOT, name)
