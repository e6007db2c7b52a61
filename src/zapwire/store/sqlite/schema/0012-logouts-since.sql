-- 12 (since 0.2.0): `unlinking` says since when a logout is wanted (ms), as it is given up at some time; 0: none is.

UPDATE bots SET unlinking = CAST(strftime('%s', 'now') AS INTEGER) * 1000 WHERE unlinking = 1;
