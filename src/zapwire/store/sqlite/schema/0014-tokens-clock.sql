-- 14 (since 0.2.0): token rows are bound to the master key, webhook descriptions are sealed, the time that can be trusted.

-- Sealed: what the row has to be. Whoever can write here but has no key cannot make a token. Those there are trusted once.
ALTER TABLE tokens ADD COLUMN proof BLOB NOT NULL DEFAULT x'';
UPDATE tokens SET proof = seal('tokens.proof', id, name || char(10) || lower(hex(hash)) || char(10) || created_at);

ALTER TABLE endpoints ADD COLUMN sealed_description BLOB; -- null: none
UPDATE endpoints SET sealed_description = seal('endpoints.description', id, nullif(description, ''));
ALTER TABLE endpoints DROP COLUMN description;
ALTER TABLE endpoints RENAME COLUMN sealed_description TO description;

-- Nothing is pruned by a clock that jumped: see store/clock.py. Milliseconds.
CREATE TABLE clock (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    trusted INTEGER NOT NULL, -- the last time of which we are sure
    seen INTEGER NOT NULL, -- the last time that the clock showed
    stood INTEGER NOT NULL -- how long the daemon has run while the clock showed another one, without a jump
) STRICT;
