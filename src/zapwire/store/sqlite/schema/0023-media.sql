-- 23 (since 0.2.0): files that messages carry. The files themselves lie encrypted in a folder, the keys here.

CREATE TABLE media (
    id TEXT PRIMARY KEY,
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    size INTEGER NOT NULL, -- bytes of the file, as its sender says
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    uploaded_at INTEGER,
    file BLOB NOT NULL -- sealed: JSON with the key, the hashes, the path, the type and the name
) STRICT, WITHOUT ROWID;
CREATE INDEX media_bot ON media (bot);
CREATE INDEX media_stored ON media (used_at) WHERE state = 'stored';
CREATE INDEX media_created_at ON media (created_at);
