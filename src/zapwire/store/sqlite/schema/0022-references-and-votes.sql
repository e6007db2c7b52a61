-- 22 (since 0.2.0): what a message is about, what a person chose, and how a poll stands.

CREATE INDEX messages_whatsapp_id ON messages (bot, whatsapp_id);

CREATE INDEX outbox_lists ON outbox (bot, chat, n) WHERE type IN ('list', 'buttons');

CREATE TABLE poll_votes (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    poll TEXT NOT NULL, -- WhatsApp's id of the poll
    voter TEXT NOT NULL, -- id of a person; empty: the bot's own account
    voted_at INTEGER NOT NULL,
    options BLOB NOT NULL, -- sealed: JSON list of what was chosen last
    PRIMARY KEY (bot, poll, voter)
) STRICT, WITHOUT ROWID;
CREATE INDEX poll_votes_voted_at ON poll_votes (voted_at);
