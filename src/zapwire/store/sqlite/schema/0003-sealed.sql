-- 3 (since 0.1.0): what is secret or personal is sealed; ids, LIDs, times, states and sizes stay readable (store/sealing.py).

CREATE TABLE vault (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    salt BLOB NOT NULL, -- with the master key it gives the key of all sealed columns
    verifier BLOB NOT NULL, -- tells whether a key is the right one
    fingerprint TEXT NOT NULL -- names the master key and tells nothing of it
) STRICT;
INSERT INTO vault VALUES (1, vault_salt(), vault_verifier(), vault_fingerprint());

ALTER TABLE bots ADD COLUMN sealed_name BLOB NOT NULL DEFAULT x'';
ALTER TABLE bots ADD COLUMN sealed_phone BLOB;
ALTER TABLE bots ADD COLUMN sealed_push_name BLOB;
UPDATE bots SET sealed_name = seal('bots.name', id, name), sealed_phone = seal('bots.phone', id, phone),
    sealed_push_name = seal('bots.push_name', id, push_name);
ALTER TABLE bots DROP COLUMN name;
ALTER TABLE bots DROP COLUMN phone;
ALTER TABLE bots DROP COLUMN push_name;
ALTER TABLE bots RENAME COLUMN sealed_name TO name;
ALTER TABLE bots RENAME COLUMN sealed_phone TO phone;
ALTER TABLE bots RENAME COLUMN sealed_push_name TO push_name;

DROP INDEX addresses_phone;
ALTER TABLE addresses ADD COLUMN veiled_phone BLOB NOT NULL DEFAULT x'';
UPDATE addresses SET veiled_phone = veil('addresses.phone', phone);
ALTER TABLE addresses DROP COLUMN phone;
ALTER TABLE addresses RENAME COLUMN veiled_phone TO phone;
CREATE INDEX addresses_phone ON addresses (bot, phone);

CREATE TABLE sealed_messages (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    chat BLOB NOT NULL,
    sender BLOB NOT NULL,
    whatsapp_id TEXT NOT NULL,
    from_me INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    type TEXT NOT NULL,
    content BLOB NOT NULL,
    push_name BLOB,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (bot, chat, sender, whatsapp_id)
) STRICT, WITHOUT ROWID;
INSERT INTO sealed_messages SELECT bot, veil('messages.chat', chat), veil('messages.sender', sender), whatsapp_id, from_me,
    timestamp, type, seal('messages.content', bot || '/' || whatsapp_id, content),
    seal('messages.push_name', bot || '/' || whatsapp_id, push_name), stored_at FROM messages;
DROP TABLE messages;
ALTER TABLE sealed_messages RENAME TO messages;
CREATE INDEX messages_stored_at ON messages (stored_at);

ALTER TABLE journal ADD COLUMN sealed_data BLOB NOT NULL DEFAULT x'';
UPDATE journal SET sealed_data = seal('journal.data', id, data);
ALTER TABLE journal DROP COLUMN data;
ALTER TABLE journal RENAME COLUMN sealed_data TO data;

ALTER TABLE outbox ADD COLUMN veiled_chat BLOB NOT NULL DEFAULT x'';
ALTER TABLE outbox ADD COLUMN sealed_content BLOB NOT NULL DEFAULT x'';
ALTER TABLE outbox ADD COLUMN sealed_digest BLOB NOT NULL DEFAULT x'';
UPDATE outbox SET veiled_chat = veil('outbox.chat', chat), sealed_content = seal('outbox.content', id, content),
    sealed_digest = seal('outbox.digest', id, lower(hex(digest)));
ALTER TABLE outbox DROP COLUMN chat;
ALTER TABLE outbox DROP COLUMN content;
ALTER TABLE outbox DROP COLUMN digest;
ALTER TABLE outbox RENAME COLUMN veiled_chat TO chat;
ALTER TABLE outbox RENAME COLUMN sealed_content TO content;
ALTER TABLE outbox RENAME COLUMN sealed_digest TO digest;

ALTER TABLE endpoints ADD COLUMN sealed_url BLOB NOT NULL DEFAULT x'';
ALTER TABLE endpoints ADD COLUMN sealed_secret BLOB NOT NULL DEFAULT x'';
UPDATE endpoints SET sealed_url = seal('endpoints.url', id, url), sealed_secret = seal('endpoints.secret', id, secret);
ALTER TABLE endpoints DROP COLUMN url;
ALTER TABLE endpoints DROP COLUMN secret;
ALTER TABLE endpoints RENAME COLUMN sealed_url TO url;
ALTER TABLE endpoints RENAME COLUMN sealed_secret TO secret;

DROP INDEX parked_lane;
ALTER TABLE parked ADD COLUMN veiled_lane BLOB NOT NULL DEFAULT x'';
UPDATE parked SET veiled_lane = veil('parked.lane', lane);
ALTER TABLE parked DROP COLUMN lane;
ALTER TABLE parked RENAME COLUMN veiled_lane TO lane;
CREATE INDEX parked_lane ON parked (endpoint, lane, seq);

ALTER TABLE dead_letters ADD COLUMN sealed_event BLOB NOT NULL DEFAULT x'';
UPDATE dead_letters SET sealed_event = seal('dead_letters.event', endpoint || '/' || seq, event);
ALTER TABLE dead_letters DROP COLUMN event;
ALTER TABLE dead_letters RENAME COLUMN sealed_event TO event;
