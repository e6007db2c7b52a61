-- 24 (since 0.2.0): what a caller notes beside a message, and messages listed by time.

ALTER TABLE outbox ADD COLUMN send_at INTEGER; -- when somebody wants it sent; NULL: at once
ALTER TABLE outbox ADD COLUMN notes BLOB; -- sealed: JSON with client_ref and metadata

CREATE INDEX outbox_created_at ON outbox (bot, created_at);
CREATE INDEX outbox_chat ON outbox (bot, chat, created_at);
CREATE INDEX messages_timestamp ON messages (bot, timestamp);
CREATE INDEX messages_chat ON messages (bot, chat, timestamp);
