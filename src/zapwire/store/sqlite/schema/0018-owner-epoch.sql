-- 18 (since 0.2.0): how often a bot was taken over by a process; writes of an owner with a lower number are refused.

ALTER TABLE bots ADD COLUMN owner_epoch INTEGER NOT NULL DEFAULT 0;
