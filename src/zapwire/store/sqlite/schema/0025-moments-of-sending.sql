-- 25 (since 0.2.0): when a message was sent, and whether its deadline was given or is the usual one.

ALTER TABLE outbox ADD COLUMN sent_at INTEGER; -- when WhatsApp took it
ALTER TABLE outbox ADD COLUMN deadline_given INTEGER NOT NULL DEFAULT 0;

DELETE FROM poll_votes; -- they were kept by WhatsApp's id of the poll, which is one of several chats
