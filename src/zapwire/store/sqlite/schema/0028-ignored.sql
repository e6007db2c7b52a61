-- 28 (since 0.2.0): which messages a bot does not want, JSON, sealed; null: as the settings say.

ALTER TABLE bots ADD COLUMN ignored BLOB;
