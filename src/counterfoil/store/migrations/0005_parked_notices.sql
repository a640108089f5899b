-- Notices that wait for the payment they name, and what people need to look through all of them.
SET LOCAL lock_timeout = '2s';

ALTER TABLE notices ADD COLUMN awaits_payment boolean NOT NULL DEFAULT false;

CREATE INDEX notices_awaiting ON notices (payment_id, event_id) WHERE state = 'parked' AND awaits_payment;
CREATE INDEX notices_by_time ON notices (received_at, event_id);
CREATE INDEX notices_parked ON notices (received_at, event_id) WHERE state = 'parked';
