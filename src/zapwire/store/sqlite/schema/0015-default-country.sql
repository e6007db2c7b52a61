-- 15 (since 0.2.0): the country in which a bot's numbers without a country code are dialled; null: that of the daemon.

ALTER TABLE bots ADD COLUMN default_country TEXT;
