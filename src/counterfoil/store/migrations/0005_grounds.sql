-- What a fraud check says of its reasons is kept, for whoever has to decide.
SET LOCAL lock_timeout = '2s';

ALTER TABLE fraud_checks ADD COLUMN grounds jsonb;
