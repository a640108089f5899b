-- A payment keeps the trace that its order came with, for the messages that tell of it.
SET LOCAL lock_timeout = '2s';

ALTER TABLE payments
    ADD COLUMN traceparent text,
    ADD CONSTRAINT payments_traceparent_is_one CHECK (
        traceparent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}' AND length(traceparent) <= 255);
