-- 21 (since 0.2.0): how a bot presents itself when it is paired, JSON, sealed; null: as the settings say.

ALTER TABLE bots ADD COLUMN pairing_options BLOB;
