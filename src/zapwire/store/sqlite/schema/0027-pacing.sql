-- 27 (since 0.2.0): how fast a bot may write, whom it wrote to for the first time today, and why a message waits.

CREATE TABLE pacing (
    bot TEXT PRIMARY KEY REFERENCES bots (id) ON DELETE CASCADE,
    options TEXT, -- JSON; NULL: the daemon's
    linked_at INTEGER -- when its present number was linked
) STRICT, WITHOUT ROWID;

CREATE TABLE new_chats (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    day INTEGER NOT NULL, -- days since 1970-01-01, in the bot's time zone
    chat TEXT NOT NULL, -- id of a person
    PRIMARY KEY (bot, day, chat)
) STRICT, WITHOUT ROWID;

ALTER TABLE outbox ADD COLUMN code TEXT; -- why it waits, for programs
