-- Parked tokens are counted every second, among all that ever were.
SET LOCAL lock_timeout = '2s';

CREATE INDEX task_tokens_parked ON task_tokens (id) WHERE outcome = 'parked';
