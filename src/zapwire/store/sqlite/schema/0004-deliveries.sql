-- 4 (since 0.1.0): webhooks get headers, ed25519 keys, rotation, pausing, replies; each delivery is a row with its attempts.

ALTER TABLE endpoints ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN headers BLOB; -- sealed: JSON object
ALTER TABLE endpoints ADD COLUMN concurrency INTEGER NOT NULL DEFAULT 16;
ALTER TABLE endpoints ADD COLUMN private_key BLOB; -- sealed: whsk_...; null: no ed25519 signature
ALTER TABLE endpoints ADD COLUMN public_key TEXT; -- whpk_...
ALTER TABLE endpoints ADD COLUMN retired BLOB; -- sealed: JSON list of replaced keys that still sign for a while
ALTER TABLE endpoints ADD COLUMN reply INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN disabled_reason TEXT;
ALTER TABLE endpoints ADD COLUMN resumed_at INTEGER; -- waiting before does not count

-- What an endpoint was sent, and what waits for it (due is not null). Within a lane it goes out in order of seq.
CREATE TABLE deliveries (
    endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,
    type TEXT NOT NULL,
    bot TEXT NOT NULL, -- empty: of no bot
    lane BLOB NOT NULL, -- veiled: what stays in order with it, the bot or `bot/chat`
    happened INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'failed', 'delivered', 'dead')),
    replay INTEGER NOT NULL, -- replays are in order among themselves and hold up nothing else
    tries INTEGER NOT NULL, -- failed attempts since it waits
    since INTEGER NOT NULL, -- when it began to wait
    due INTEGER,
    at INTEGER NOT NULL, -- last change
    attempts TEXT NOT NULL, -- JSON list of [time, status, duration in ms, error], oldest first
    reply TEXT, -- JSON: what came of a message that the receiver answered with
    answer BLOB, -- sealed: the beginning of the last answer
    PRIMARY KEY (endpoint, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_waiting ON deliveries (endpoint, replay, lane, seq) WHERE due IS NOT NULL;
CREATE INDEX deliveries_trouble ON deliveries (endpoint, state, seq) WHERE state != 'delivered';
CREATE INDEX deliveries_lane ON deliveries (endpoint, lane, seq);
CREATE INDEX deliveries_at ON deliveries (at);

INSERT INTO deliveries
SELECT parked.endpoint, seq, id, type, bot, veil('deliveries.lane', unveil('parked.lane', lane)), timestamp,
    iif(attempts = 0, 'pending', 'failed'), 0, attempts, timestamp, due, due, '[]', NULL, NULL
FROM parked JOIN journal USING (seq);
DROP TABLE parked;

INSERT OR IGNORE INTO deliveries
SELECT endpoint, seq, body ->> '$.id', body ->> '$.type', body ->> '$.bot',
    veil('deliveries.lane', (body ->> '$.bot') || coalesce('/' || coalesce(
        body ->> '$.data.chat.phone', body ->> '$.data.chat.jid', body ->> '$.data.to.phone', body ->> '$.data.to.jid'
    ), '')),
    at, 'dead', 0, attempts, at, NULL, at, json_array(json_array(at, NULL, 0, error)), NULL, NULL
FROM (
    SELECT endpoint, seq, attempts, error, at, unseal('dead_letters.event', endpoint || '/' || seq, event) AS body
    FROM dead_letters
) WHERE json_valid(body);

CREATE INDEX journal_id ON journal (id);
