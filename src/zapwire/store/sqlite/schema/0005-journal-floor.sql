-- 5 (since 0.1.0): where the journal begins, and what endpoints missed, is remembered: a gap is told, never passed over.

-- Every event up to `seq` was pruned. Not the same as the smallest number that is left: a deleted bot leaves holes.
CREATE TABLE journal_floor (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO journal_floor (only_row, seq) VALUES (
    1,
    coalesce((SELECT min(seq) - 1 FROM journal), (SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0)
);

-- What was pruned before an endpoint got it, until it is told (`webhook.gap`).
CREATE TABLE webhook_gaps (
    endpoint TEXT PRIMARY KEY REFERENCES endpoints (id) ON DELETE CASCADE,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
