-- 13 (since 0.2.0): where WhatsApp keeps the parts of an account's history that its phone offered, and their keys.

-- Written for the account that the bot has at that moment (`bots.account`). Bounded per bot.
CREATE TABLE history_notices (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    account INTEGER NOT NULL,
    whatsapp_id TEXT NOT NULL, -- of the message that offered it
    offered_at INTEGER NOT NULL,
    notice BLOB NOT NULL, -- sealed: base64 of a waE2E HistorySyncNotification
    UNIQUE (bot, whatsapp_id)
) STRICT;
