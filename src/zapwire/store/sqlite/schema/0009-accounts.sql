-- 9 (since 0.2.0): messages belong to the account that they were accepted for, also when it goes before they do.

ALTER TABLE bots ADD COLUMN account INTEGER NOT NULL DEFAULT 0; -- how many accounts the bot has lost
ALTER TABLE outbox ADD COLUMN account INTEGER NOT NULL DEFAULT 0; -- that number, as it was for the message
