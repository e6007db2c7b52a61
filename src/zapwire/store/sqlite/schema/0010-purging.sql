-- 10 (since 0.2.0): what is deleted is hidden at once and purged a little at a time, so that no other write waits for it.

ALTER TABLE bots ADD COLUMN deleted_upto INTEGER; -- deleted, and with it its events up to this number; null: it is there
CREATE INDEX bots_deleted ON bots (id, deleted_upto) WHERE deleted_upto IS NOT NULL;
ALTER TABLE endpoints ADD COLUMN deleted_at INTEGER; -- null: it is there
CREATE INDEX endpoints_deleted ON endpoints (id) WHERE deleted_at IS NOT NULL;
