"""What is secret in the database is sealed, opens only where and with what it was sealed, and can get another key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.deliveries import StoredQueue
from zapwire.model.errors import StoreError
from zapwire.model.jid import PERSON_ID
from zapwire.model.media import MediaDetails, MediaFile, MediaId, MediaState, RemoteFile
from zapwire.store.sqlite import encryption, migrations
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.migrations import prepare
from zapwire.store.sqlite.sealed_values import SealedConnection, connect
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.vault.columns import Columns
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.wire.media import Domain

NEW = MasterKey(bytes(range(1, 33)))
NUMBER, NAME, BODY, PLACE = (
    "+4915712345678",
    "Aloysius Pepperwood",
    "meet me at the old mill",
    "https://hooks.example/x",
)
SECRETS = (NUMBER, NUMBER[1:], NAME, BODY, PLACE, "whsec_planted")


def first_schema(path: Path) -> None:
    """A database as the first schema had it, with something in each table."""
    sql = sqlite3.connect(path, isolation_level=None)
    sql.executescript(resources.files("zapwire.store.sqlite").joinpath("schema/0001-first.sql").read_text("utf-8"))
    sql.execute("PRAGMA user_version = 1")
    chat = f"{NUMBER[1:]}@s.whatsapp.net"
    rows = {
        "bots (id, name, autostart, phone, lid, push_name, created_at)": ("a", NAME, 1, NUMBER, "7@lid", NAME, 0),
        "addresses": ("a", "1@lid", NUMBER),
        "messages": ("a", chat, "1@lid", "WA", 0, 77, "text", BODY, NAME),
        "journal": (1, "evt_1", "message.received", 5, "a", f'{{"text": "{BODY}", "from": "{NUMBER}"}}'),
        "outbox (id, bot, chat, type, content, key, digest, state, attempts, due, deadline, created_at, updated_at)": (
            *("msg_1", "a", chat, "text", f'{{"text": "{BODY}"}}', "key", b"\1\2", "queued", 0, 0, 0, 0, 0),
        ),
        "endpoints": ("ep", PLACE, "whsec_planted", '["*"]', None, 1, 0, None, None, 0),
        "parked": ("ep", 1, f"a/{NUMBER}", 0, 0),
        "dead_letters": ("ep", 1, BODY, 3, "no", 0),
        "tokens": ("tok_1", "laptop", b"\1\2", 7, None),
    }
    for table, values in rows.items():
        sql.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    sql.close()


def check_all(unit: SqliteUnitOfWork) -> None:
    """Everything of `first_schema` is there and can be read."""
    [bot] = unit.bots.all_bots()
    assert (bot.id, bot.name, bot.unlinking) == ("a", NAME, None)
    assert (bot.identity.phone, bot.identity.lid, bot.identity.push_name) == (NUMBER, "7@lid", NAME)
    [waiting] = unit.outbox.waiting(bot.id)
    assert waiting.chat == f"{NUMBER[1:]}@s.whatsapp.net"
    found = unit.outbox.by_key(bot.id, "key")
    assert found is not None
    view, digest = found
    assert (view.content.as_json(), view.to.phone, view.to.lid, digest) == ({"text": BODY}, NUMBER, "1@lid", b"\1\2")
    assert PERSON_ID.fullmatch(view.to.id or "")
    [event], _ = unit.journal.read(0, 10)
    assert event.data == {"text": BODY, "from": NUMBER}
    endpoint = unit.endpoints.get("ep")
    assert endpoint is not None
    keys = unit.endpoints.keys("ep")
    assert keys is not None
    assert (endpoint.url, keys.secret) == (PLACE, "whsec_planted")
    assert endpoint.events == ("*", "bot.qr"), "what it got so far it goes on getting"
    lane = StoredQueue(f"a/{NUMBER}", f"a/{view.to.id}", replay=False, due=timestamps.from_ms(0))
    assert unit.delivery_queue.lanes("ep") == [lane]
    [delivery] = unit.delivery_queue.waiting("ep", [lane.key], replay=False, limit=10)
    assert (delivery.event, delivery.tries) == (event, 0)
    assert unit.delivery_queue.letter("ep", 1) == BODY
    assert [token.name for token in unit.tokens.all_tokens()] == ["laptop"]
    assert unit.sql.execute("SELECT stored_at FROM messages").fetchone() == (77,)
    assert list(encryption.verify(unit.sql, encryption.choose(unit.sql, KeyRing(*KEYS, NEW)))) == []


def fill_newer_columns(transaction: SqliteUnitOfWork) -> None:
    """Put something into those sealed columns that the first schema had nothing for."""
    transaction.history_notices.keep(BotId("a"), "A", timestamps.from_ms(0), b"keys")
    remote = RemoteFile(Domain.IMAGE, "/x", bytes(32), bytes(32), bytes(32), 1)
    known = MediaFile(MediaId("med_1"), BotId("a"), MediaState.REMOTE, remote, MediaDetails(), timestamps.from_ms(0))
    transaction.media.insert(known)
    transaction.poll_votes.cast(BotId("a"), "P", "prs_1", ("now",), timestamps.from_ms(0))
    texts = {
        "headers": "{}",
        "retired": "[]",
        "proxy": "socks5://proxy.example:1080",
        "pairing_options": "{}",
        "ignored": "[]",
    }
    for one in encryption.COLUMNS:
        rows = transaction.sql.execute(f"SELECT {one.row} FROM {one.table} WHERE {one.column} IS NULL").fetchall()
        for (row,) in rows:
            value = transaction.sql.values.seal(one.place, row, texts.get(one.column, "x"))
            transaction.sql.execute(f"UPDATE {one.table} SET {one.column} = ? WHERE {one.row} = ?", (value, row))


def plain_in(folder: Path) -> list[str]:
    content = b"".join(file.read_bytes() for file in folder.iterdir())
    return [secret for secret in SECRETS if secret.encode() in content]


async def test_an_older_database_is_sealed_and_nothing_readable_stays(tmp_path: Path):
    first_schema(tmp_path / "db")
    assert len(plain_in(tmp_path)) == len(SECRETS)
    async with Database.open(tmp_path / "db", KEYS) as database:
        assert plain_in(tmp_path) == []
        await database.read(check_all)


async def test_a_crash_right_after_the_sealing_leaves_nothing_readable_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first_schema(tmp_path / "db")
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as sql:
        rows = [(f"evt_{number}", BODY * 20) for number in range(300)]
        sql.executemany("INSERT INTO journal (id, type, timestamp, bot, data) VALUES (?, 'x', 0, 'a', ?)", rows)
        sql.execute("PRAGMA secure_delete = OFF")  # which is how some SQLites are made
        sql.execute("DELETE FROM journal WHERE type = 'x'")

    def die(_: sqlite3.Connection) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "scour", die)
        with pytest.raises(KeyboardInterrupt), closing(connect(tmp_path / "db")) as sql:
            prepare(KEYS, sql)
    assert plain_in(tmp_path) != []
    async with Database.open(tmp_path / "db", KEYS):
        assert plain_in(tmp_path) == []
    monkeypatch.setattr(migrations, "scour", die)  # once is enough
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.read(check_all)


async def test_only_the_key_that_sealed_it_opens_it(tmp_path: Path):
    first_schema(tmp_path / "db")
    async with Database.open(tmp_path / "db", KEYS):
        pass
    with pytest.raises(StoreError, match=f"master key {KEYS.sealing.fingerprint}, not .*{NEW.fingerprint}"):
        async with Database.open(tmp_path / "db", KeyRing(NEW)):
            pass
    async with Database.open(tmp_path / "db", KeyRing(NEW, *KEYS)) as database:
        await database.read(check_all)


async def test_a_sealed_value_in_another_row_does_not_open(tmp_path: Path):
    first_schema(tmp_path / "db")
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(lambda t: t.sql.execute("INSERT INTO bots (id, autostart, created_at) VALUES ('b', 1, 0)"))
        await database.write(lambda t: t.sql.execute("UPDATE bots SET name = (SELECT name FROM bots WHERE id = 'a')"))
        first, second = await database.read(lambda unit: unit.bots.all_bots())
        assert (first.damaged, first.name) == ((), NAME)
        assert (second.damaged, second.name, second.starts) == (("name",), "b", False)
        columns = await database.read(lambda view: encryption.choose(view.sql, KEYS))
        assert await database.read(lambda view: list(encryption.verify(view.sql, columns))) == ["bots.name of row b"]


READABLE = {
    "ids": {
        *(
            "bots.id",
            "person_addresses.bot",
            "messages.bot",
            "messages.whatsapp_id",
            "journal.id",
            "journal.bot",
            "outbox.id",
        ),
        *("outbox.bot", "outbox.whatsapp_id", "early_receipts.bot", "early_receipts.whatsapp_id", "endpoints.id"),
        *(
            *("deliveries.endpoint", "history_notices.bot", "history_notices.whatsapp_id"),
            *("poll_votes.bot", "poll_votes.poll", "media.id", "media.bot"),
            *(
                "receipts.bot",
                "receipts.whatsapp_id",
                "outbox.resend_of",
                "pacing.bot",
                "new_chats.bot",
                "chat_timers.bot",
            ),
            "deliveries.event",
            "deliveries.bot",
            "dead_letters.endpoint",
            "webhook_gaps.endpoint",
        ),
        *("bot_history.bot", "tokens.id", "endpoints.bots", "merged_persons.bot"),
    },
    "ids of persons": {
        "person_addresses.person",
        "merged_persons.gone",
        "merged_persons.person",
        "poll_votes.voter",
        "receipts.recipient",
        "new_chats.chat",
        "chat_timers.chat",
    },
    "LIDs of the bots themselves": {"bots.lid"},
    "idempotency keys": {"outbox.key"},
    "states and reasons": {
        *("bots.wanted", "bots.halt_state", "bots.halt_reason", "bots.halt_action", "bots.halt_code"),
        *(
            "bots.restriction_kind",
            "bots.restriction_reason",
            "outbox.state",
            "media.state",
            "outbox.reason",
            "early_receipts.state",
            "receipts.state",
            "outbox.code",
        ),
        "early_receipts.reason",
        *("endpoints.last_error", "endpoints.disabled_reason", "deliveries.state", "deliveries.attempts"),
        *("deliveries.reply", "dead_letters.error", "bot_history.state", "bot_history.code", "bot_history.reason"),
        "bot_history.action",
    },
    "options of pacing": {"pacing.options"},
    "formats of webhooks": {"endpoints.format"},
    "transports of bots": {"bots.transport"},
    "types": {"messages.type", "journal.type", "outbox.type", "endpoints.events", "deliveries.type"},
    "default countries": {"bots.default_country"},
    "public keys": {"endpoints.public_key"},
    "token names": {"tokens.name"},
    "of keys": {"tokens.hash", "vault.salt", "vault.verifier", "vault.fingerprint"},
}
"""Columns that are not sealed, by what docs/security.md calls them."""


def test_every_column_is_sealed_or_listed_as_readable():
    sql = connect(":memory:")
    prepare(KEYS, sql)
    columns = {
        f"{table}.{column}"
        for (table,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for _, column, kind, *_ in sql.execute(f"PRAGMA table_info({table})").fetchall()
        if kind in {"TEXT", "BLOB"}
    }
    sealed, readable = {one.place for one in encryption.COLUMNS}, set().union(*READABLE.values())
    assert sealed & readable == set()
    assert columns == sealed | readable
    table = (Path(__file__).parents[3] / "docs" / "security.md").read_text("utf-8")
    [line] = [line for line in table.splitlines() if line.startswith("| `zapwire.db` |")]
    clear = line.split("|")[3]
    for words in READABLE.keys() - {"of keys"}:
        assert all(word in clear for word in words.split(" and ")), words


def test_what_is_sealed_later_leaves_nothing_readable_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A webhook's description, which older schemas had in the clear."""
    steps = sorted(migrations._migrations())
    sealing_it = next(number for number, script in steps if "endpoints.description" in script)
    secret = "the door code is 4711"
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "_migrations", lambda: [step for step in steps if step[0] < sealing_it])
        with closing(connect(tmp_path / "db")) as sql:
            prepare(KEYS, sql)
            rows = [(f"whk_{number}", secret) for number in range(50)]
            sql.executemany(
                "INSERT INTO endpoints (id, url, secret, events, enabled, cursor, created_at, description) "
                "VALUES (?, x'', x'', '[]', 1, 0, 0, ?)",
                rows,
            )
            sql.execute("INSERT INTO tokens (id, name, hash, created_at) VALUES ('tok', 'n', x'01', 7)")
            sql.execute("PRAGMA secure_delete = OFF")
    assert secret.encode() in (tmp_path / "db").read_bytes()
    with closing(connect(tmp_path / "db")) as sql:
        prepare(KEYS, sql)
        assert SqliteUnitOfWork(sql).endpoints.all_endpoints()[0].description == secret
        assert [token.id for token in SqliteUnitOfWork(sql).tokens.all_tokens()] == ["tok"], (
            "trusted, as it was there before"
        )
        assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize(("number", "script"), sorted(migrations._migrations()))
def test_every_statement_of_the_schema_is_run(number: int, script: str):
    first = script.splitlines()[0]
    assert first.startswith(f"-- {number} (since ")
    statements = list(migrations._statements(script))
    assert "".join(statements) == script
    assert all(sqlite3.complete_statement(statement) for statement in statements), "a semicolon is missing"


def test_a_last_statement_without_semicolon_is_run_too():
    script = "CREATE TABLE a (b);\n-- the last one\nCREATE TABLE c (d)\n"
    with closing(sqlite3.connect(":memory:")) as sql:
        for statement in migrations._statements(script):
            sql.execute(statement)
        assert {row[0] for row in sql.execute("SELECT name FROM sqlite_master")} == {"a", "c"}


def test_the_schema_has_no_number_twice():
    numbers = sorted(number for number, _ in migrations._migrations())
    assert numbers == list(range(1, len(numbers) + 1))


def values(sql: sqlite3.Connection) -> set[bytes]:
    """What stands in the sealed columns."""
    return {row[0] for one in encryption.COLUMNS for row in sql.execute(f"SELECT {one.column} FROM {one.table}")}


def opened(path: Path, keys: KeyRing) -> tuple[SealedConnection, Columns]:
    sql = connect(path)
    prepare(keys, sql)
    return sql, sql.values.columns


async def test_another_key_seals_everything_anew(tmp_path: Path):
    first_schema(tmp_path / "db")
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(fill_newer_columns)
    sql, old = opened(tmp_path / "db", KEYS)
    before = values(sql)
    count = len(encryption.COLUMNS) + 1  # a person with two addresses
    assert len(before) == count
    assert encryption.reseal(sql, old, Columns(NEW, Columns.new_salt())) == count
    sql.close()
    sql, _ = opened(tmp_path / "db", KeyRing(NEW))
    check_all(SqliteUnitOfWork(sql))
    assert not values(sql) & before
    sql.close()
    with pytest.raises(StoreError):
        opened(tmp_path / "db", KEYS)


async def test_a_damaged_value_stops_the_change_of_the_key_and_is_named(tmp_path: Path):
    first_schema(tmp_path / "db")
    async with Database.open(tmp_path / "db", KEYS):
        pass
    sql, old = opened(tmp_path / "db", KEYS)
    sql.execute("UPDATE dead_letters SET event = x'00'")
    with pytest.raises(StoreError, match=r"dead_letters\.event of row ep/1"):
        encryption.reseal(sql, old, Columns(NEW, Columns.new_salt()))
    sql.close()
    sql, columns = opened(tmp_path / "db", KEYS)
    assert list(encryption.verify(sql, columns)) == ["dead_letters.event of row ep/1"]


async def test_without_a_key_nothing_sealed_can_be_used(tmp_path: Path):
    first_schema(tmp_path / "db")
    with pytest.raises(StoreError, match="start the daemon once"):
        async with Database.open(tmp_path / "db", None, shared=True):
            pass
    async with Database.open(tmp_path / "db", KEYS):
        pass
    async with Database.open(tmp_path / "db", None, shared=True) as database:
        with pytest.raises(StoreError, match="master key"):
            await database.read(lambda unit: unit.bots.all_bots())


async def test_a_message_is_found_again_though_its_chat_is_veiled(tmp_path: Path):
    first_schema(tmp_path / "db")
    async with Database.open(tmp_path / "db", KEYS) as database:
        before = await database.read(lambda view: view.sql.execute("SELECT count(*) FROM messages").fetchone())
        columns = await database.read(lambda view: encryption.choose(view.sql, KEYS))
        assert columns.veil("messages.chat", "x") == columns.veil("messages.chat", "x")
        assert columns.veil("messages.chat", "x") != columns.veil("messages.sender", "x")
        assert before == (1,)
