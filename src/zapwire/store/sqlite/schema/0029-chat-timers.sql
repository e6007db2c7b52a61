-- 29 (since 0.2.0): after how long messages of a chat disappear, where they do.

CREATE TABLE chat_timers (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    chat TEXT NOT NULL, -- id of a person or a group
    seconds INTEGER NOT NULL,
    told_at INTEGER NOT NULL, -- by a message of that moment
    PRIMARY KEY (bot, chat)
) STRICT, WITHOUT ROWID;
