-- 8 (since 0.2.0): how long a webhook may take, how often an event it does not want is tried, and since when it is unreachable.

ALTER TABLE endpoints ADD COLUMN timeout REAL NOT NULL DEFAULT 15; -- seconds for one delivery
ALTER TABLE endpoints ADD COLUMN client_error_attempts INTEGER NOT NULL DEFAULT 3; -- of an event that it answers with 4xx
ALTER TABLE endpoints ADD COLUMN unreachable_since INTEGER;
ALTER TABLE endpoints ADD COLUMN next_try INTEGER; -- while it is unreachable
