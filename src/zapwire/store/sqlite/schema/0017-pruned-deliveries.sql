-- 17 (since 0.2.0): deliveries that are over are found by their age without those of another state, however many there are.

DROP INDEX deliveries_at;
CREATE INDEX deliveries_delivered_at ON deliveries (at) WHERE state = 'delivered';
CREATE INDEX deliveries_dead_at ON deliveries (at) WHERE state = 'dead';
