-- A payment may be driven by a state machine, which waits on task tokens.
SET LOCAL lock_timeout = '2s';

CREATE TABLE driven_payments (
    payment_id    uuid        PRIMARY KEY REFERENCES payments (id),
    since         timestamptz NOT NULL,
    given_back_at timestamptz
);

CREATE TABLE task_tokens (
    id                uuid        PRIMARY KEY,
    payment_id        uuid        REFERENCES payments (id),
    step              text        NOT NULL,
    token             text,
    token_hash        bytea       NOT NULL,
    execution         text        NOT NULL,
    attempt           integer,
    heartbeat_seconds integer,
    refusal           jsonb,
    failures          integer     NOT NULL DEFAULT 0,
    next_try_at       timestamptz,
    woken             boolean     NOT NULL DEFAULT false,
    claimed_by        text,
    claim_expires_at  timestamptz,
    fence             bigint      NOT NULL DEFAULT 0,
    received_at       timestamptz NOT NULL,
    settled_at        timestamptz,
    outcome           text,
    reason            text,

    CONSTRAINT task_tokens_step_is_known CHECK (step IN (
        'payment', 'retry', 'record', 'receipt', 'inventory', 'notify')),
    CONSTRAINT task_tokens_outcome_is_known CHECK (outcome IN ('succeeded', 'failed', 'dead', 'parked')),
    CONSTRAINT task_tokens_without_payment_are_refused CHECK (payment_id IS NOT NULL OR refusal IS NOT NULL),
    CONSTRAINT task_tokens_settled_has_outcome CHECK ((settled_at IS NOT NULL) = (outcome IS NOT NULL)),
    CONSTRAINT task_tokens_settled_is_forgotten CHECK ((settled_at IS NOT NULL) = (token IS NULL)),
    CONSTRAINT task_tokens_settled_is_over CHECK (settled_at IS NULL OR next_try_at IS NULL)
);

CREATE UNIQUE INDEX task_tokens_once ON task_tokens (token_hash);
CREATE INDEX task_tokens_by_payment ON task_tokens (payment_id);
CREATE INDEX task_tokens_alive ON task_tokens (payment_id) WHERE settled_at IS NULL;
CREATE INDEX task_tokens_due ON task_tokens (next_try_at) WHERE next_try_at IS NOT NULL;
