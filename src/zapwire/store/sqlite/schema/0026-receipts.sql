-- 26 (since 0.2.0): how far a message got with each of several recipients, and what was sent once more.

CREATE TABLE receipts (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    whatsapp_id TEXT NOT NULL, -- of the message
    recipient TEXT NOT NULL, -- id of a person
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (bot, whatsapp_id, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_at ON receipts (at);

ALTER TABLE outbox ADD COLUMN resend_of TEXT; -- id of the message that this one repeats
