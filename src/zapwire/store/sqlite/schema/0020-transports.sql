-- 20 (since 0.2.0): which network a bot is connected to; and messages that a network accepts and cannot deliver.

ALTER TABLE bots ADD COLUMN transport TEXT NOT NULL DEFAULT 'whatsapp_web';
ALTER TABLE early_receipts ADD COLUMN reason TEXT;
