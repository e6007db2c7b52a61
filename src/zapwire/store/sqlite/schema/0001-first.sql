-- 1 (since 0.1.0): bots, received messages, journal, outbox, webhooks, tokens. Times are milliseconds since 1970, UTC.

CREATE TABLE bots (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    autostart INTEGER NOT NULL,
    wanted TEXT CHECK (wanted IN ('connected', 'stopped')), -- null: nobody said, autostart decides
    phone TEXT,
    lid TEXT,
    push_name TEXT,
    halt_state TEXT, -- a state that outlives the daemon because only a person can end it
    halt_reason TEXT,
    halt_action TEXT,
    halt_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- Which phone number belongs to which hidden identity, as far as messages told.
CREATE TABLE addresses (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    lid TEXT NOT NULL,
    phone TEXT NOT NULL,
    PRIMARY KEY (bot, lid)
) STRICT, WITHOUT ROWID;
CREATE INDEX addresses_phone ON addresses (bot, phone);

CREATE TABLE messages (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    chat TEXT NOT NULL,
    sender TEXT NOT NULL,
    whatsapp_id TEXT NOT NULL,
    from_me INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL,
    push_name TEXT,
    PRIMARY KEY (bot, chat, sender, whatsapp_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    bot TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX journal_bot ON journal (bot, seq);

CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which messages were submitted
    id TEXT NOT NULL UNIQUE,
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    chat TEXT NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL,
    key TEXT, -- Idempotency-Key
    digest BLOB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    whatsapp_id TEXT,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (bot, key)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (bot, n) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_whatsapp_id ON outbox (bot, whatsapp_id) WHERE whatsapp_id IS NOT NULL;

-- Receipts that overtook the answer to the send they belong to.
CREATE TABLE early_receipts (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    whatsapp_id TEXT NOT NULL,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (bot, whatsapp_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    events TEXT NOT NULL, -- JSON list of types and patterns
    bots TEXT, -- JSON list; null: all
    enabled INTEGER NOT NULL,
    cursor INTEGER NOT NULL, -- every event up to here is delivered, parked, dead or not for this endpoint
    failing_since INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL
) STRICT;

-- Events an endpoint did not take yet; within a lane they go out in order of seq.
CREATE TABLE parked (
    endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    lane TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (endpoint, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_lane ON parked (endpoint, lane, seq);

CREATE TABLE dead_letters (
    endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL, -- the body as it was posted, as the journal may forget it
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (endpoint, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE, -- SHA-256 of the secret, which nobody keeps
    created_at INTEGER NOT NULL,
    last_used INTEGER
) STRICT;
