-- 7 (since 0.1.0): the proxy that a bot connects through, as a sealed URL; null: none.

ALTER TABLE bots ADD COLUMN proxy BLOB;
