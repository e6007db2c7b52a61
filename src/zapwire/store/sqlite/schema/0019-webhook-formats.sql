-- 19 (since 0.2.0): in what format a webhook gets its events.

ALTER TABLE endpoints ADD COLUMN format TEXT NOT NULL DEFAULT 'v1';
