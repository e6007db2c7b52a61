-- 6 (since 0.1.0): what bots were doing, why a halted one halted and until when, limits that WhatsApp put on accounts.

ALTER TABLE bots ADD COLUMN halt_code TEXT;
ALTER TABLE bots ADD COLUMN halt_until INTEGER; -- then it is tried again without a person
ALTER TABLE bots ADD COLUMN restriction_kind TEXT;
ALTER TABLE bots ADD COLUMN restriction_reason TEXT;
ALTER TABLE bots ADD COLUMN restriction_since INTEGER;
ALTER TABLE bots ADD COLUMN restriction_until INTEGER;
ALTER TABLE bots ADD COLUMN restriction_error INTEGER;

-- One row for each state and each reason for it; a repeat only counts. Bounded per bot.
CREATE TABLE bot_history (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    code TEXT,
    reason TEXT,
    action TEXT,
    since INTEGER NOT NULL,
    repeated INTEGER NOT NULL, -- how often the same came again
    last INTEGER NOT NULL -- when it came last
) STRICT;
CREATE INDEX bot_history_bot ON bot_history (bot, n);
