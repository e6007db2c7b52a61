-- 16 (since 0.2.0): persons: an id with any number of addresses; what names an address is found by it (store/persons.py).

CREATE TABLE person_addresses (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    address BLOB NOT NULL, -- veiled: a JID
    person TEXT NOT NULL,
    told INTEGER NOT NULL, -- when, in microseconds since 1970; grows from one address of a person to the next; negative:
                           -- no account's number, but one that leads to this person when it is dialled
    PRIMARY KEY (bot, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_addresses_person ON person_addresses (bot, person, told);

-- Ids that turned out to be another one's person.
CREATE TABLE merged_persons (
    bot TEXT NOT NULL REFERENCES bots (id) ON DELETE CASCADE,
    gone TEXT NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (bot, gone)
) STRICT, WITHOUT ROWID;
CREATE INDEX merged_persons_person ON merged_persons (bot, person);

ALTER TABLE addresses ADD COLUMN person TEXT NOT NULL DEFAULT '';
UPDATE addresses SET person = 'prs_' || lower(hex(randomblob(12)));
INSERT INTO person_addresses
SELECT bot, veil('person_addresses.address', lid), person, 0 FROM addresses;
INSERT OR IGNORE INTO person_addresses
SELECT bot, veil('person_addresses.address', ltrim(number, '+') || '@s.whatsapp.net'), person, 1
FROM (SELECT bot, person, unveil_or_null('addresses.phone', phone) AS number FROM addresses) WHERE number IS NOT NULL;
DROP TABLE addresses;

-- Whom was written to without that more than the number is known.
INSERT OR IGNORE INTO person_addresses
SELECT bot, veil('person_addresses.address', chat), 'prs_' || lower(hex(randomblob(12))), 0
FROM (SELECT bot, unveil_or_null('outbox.chat', chat) AS chat FROM (SELECT DISTINCT bot, chat FROM outbox))
WHERE chat LIKE '%@s.whatsapp.net' OR chat LIKE '%@lid';
