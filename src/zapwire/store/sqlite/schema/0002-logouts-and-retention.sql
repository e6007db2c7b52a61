-- 2 (since 0.1.0): a logout that was ordered is remembered until it is done; old rows can be found and pruned.

ALTER TABLE bots ADD COLUMN unlinking INTEGER NOT NULL DEFAULT 0;

-- Not `timestamp`, which is when a message was written: one that waited for weeks must still be told only once.
ALTER TABLE messages ADD COLUMN stored_at INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET stored_at = timestamp;
CREATE INDEX messages_stored_at ON messages (stored_at);
CREATE INDEX outbox_updated_at ON outbox (updated_at) WHERE state NOT IN ('queued', 'sending');
CREATE INDEX dead_letters_at ON dead_letters (at);
