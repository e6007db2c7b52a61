-- 11 (since 0.2.0): `*` and `bot.*` no longer stand for pairing codes; webhooks that got them so far get them by name.

UPDATE endpoints SET events = json_insert(events, '$[#]', 'bot.qr')
WHERE EXISTS (
    SELECT 1 FROM json_each(CASE WHEN json_valid(endpoints.events) THEN endpoints.events ELSE '[]' END)
    WHERE value IN ('*', 'bot.*')
)
AND NOT EXISTS (
    SELECT 1 FROM json_each(CASE WHEN json_valid(endpoints.events) THEN endpoints.events ELSE '[]' END)
    WHERE value = 'bot.qr'
);
