-- A fact that no broker takes has its place all the same, and says why.
SET LOCAL lock_timeout = '2s';

ALTER TABLE positions ADD COLUMN undelivered text;

CREATE INDEX positions_undelivered ON positions (position) WHERE undelivered IS NOT NULL;
