-- How unknown outcomes are learned, further attempts with another method, what is let go, and pauses.
SET LOCAL lock_timeout = '2s';

-- The check is validated by a later migration, which then holds up nobody.
ALTER TABLE attempts
    ADD COLUMN payment_method   text,
    ADD COLUMN settling         text NOT NULL DEFAULT 'resend',
    ADD COLUMN may_appear_until timestamptz,
    ADD COLUMN expired_at       timestamptz,
    ADD CONSTRAINT attempts_settling_is_known CHECK (settling IN ('resend', 'retry', 'ask', 'stop')) NOT VALID;

CREATE TABLE operations (
    payment_id       uuid        NOT NULL REFERENCES payments (id),
    kind             text        NOT NULL,
    number           integer     NOT NULL,
    attempt          integer     NOT NULL,
    idempotency_key  text        NOT NULL,
    request          bytea       NOT NULL,
    request_hash     bytea       NOT NULL,
    claimed_by       text,
    claim_expires_at timestamptz,
    fence            bigint      NOT NULL,
    first_sent_at    timestamptz NOT NULL,
    last_sent_at     timestamptz NOT NULL,
    settled_at       timestamptz,

    PRIMARY KEY (payment_id, kind, number),
    FOREIGN KEY (payment_id, attempt) REFERENCES attempts (payment_id, number),
    CONSTRAINT operations_kind_is_known CHECK (kind IN ('cancel'))
);

CREATE UNIQUE INDEX operations_one_per_key ON operations (idempotency_key);

CREATE TABLE pauses (
    credential text        PRIMARY KEY,
    since      timestamptz NOT NULL,
    reason     text        NOT NULL,
    probe_at   timestamptz NOT NULL
);
