-- What may befall a payment after it was asked for: screening, capture, refunds, disputes, effects, cancellation.
SET LOCAL lock_timeout = '2s';

ALTER TABLE payments
    ADD COLUMN stored_method     boolean NOT NULL DEFAULT false,
    ADD COLUMN screening_mode    text    NOT NULL DEFAULT 'none',
    ADD COLUMN fraud_decision    text,
    ADD COLUMN reviewing         boolean NOT NULL DEFAULT false,
    ADD COLUMN decide_by         timestamptz,
    ADD COLUMN hold_ends_at      timestamptz,
    ADD COLUMN let_go_at         timestamptz,
    ADD COLUMN amount_to_capture bigint,
    ADD COLUMN cancel_reason     text,
    ADD COLUMN dispute_status    text,
    ADD COLUMN fee               bigint,
    ADD COLUMN fee_currency      text,
    ADD COLUMN fee_known_at      timestamptz,
    ADD COLUMN fee_reference     text,
    ADD COLUMN learn_at          timestamptz,
    ADD COLUMN learn_tries       integer NOT NULL DEFAULT 0,
    ADD COLUMN refunds_due_at    timestamptz,
    ADD COLUMN cancel_refund_id  uuid,
    ADD CONSTRAINT payments_screening_mode_is_known CHECK (
        screening_mode IN ('none', 'before_charge', 'before_capture')),
    ADD CONSTRAINT payments_fraud_decision_is_known CHECK (fraud_decision IN ('APPROVED', 'DECLINED')),
    ADD CONSTRAINT payments_dispute_status_is_known CHECK (dispute_status IN ('opened', 'won', 'lost')),
    ADD CONSTRAINT payments_capture_within_amount CHECK (amount_to_capture > 0 AND amount_to_capture <= amount);

CREATE INDEX payments_screened ON payments (decide_by) WHERE screening;
CREATE INDEX payments_reviewed ON payments (id) WHERE reviewing;
CREATE INDEX payments_to_learn_of ON payments (learn_at) WHERE learn_at IS NOT NULL;
CREATE INDEX payments_refunds_due ON payments (refunds_due_at) WHERE refunds_due_at IS NOT NULL AND state = 'succeeded';

UPDATE payments SET let_go_at = created_at + interval '24 hours' WHERE state = 'requires_action';

ALTER TABLE attempts VALIDATE CONSTRAINT attempts_settling_is_known;

ALTER TABLE operations
    ADD COLUMN amount bigint,
    DROP CONSTRAINT operations_kind_is_known,
    ADD CONSTRAINT operations_kind_is_known CHECK (kind IN ('cancel', 'capture'));

CREATE TABLE refunds (
    id               uuid        PRIMARY KEY,
    payment_id       uuid        NOT NULL REFERENCES payments (id),
    request_key      text,
    processor_id     text,
    amount           bigint      NOT NULL,
    currency         text        NOT NULL,
    reason           text,
    state            text        NOT NULL,
    failure_reason   text,
    idempotency_key  text,
    request          bytea,
    request_hash     bytea,
    claimed_by       text,
    claim_expires_at timestamptz,
    fence            bigint      NOT NULL DEFAULT 0,
    first_sent_at    timestamptz,
    last_sent_at     timestamptz,
    settling         text        NOT NULL DEFAULT 'resend',
    absent_since     timestamptz,
    checks           integer     NOT NULL DEFAULT 0,
    next_check_at    timestamptz,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    fingerprint      bytea,
    may_appear_until timestamptz,

    CONSTRAINT refunds_amount_is_positive CHECK (amount > 0),
    CONSTRAINT refunds_state_is_known CHECK (state IN ('requested', 'pending', 'processed', 'failed')),
    CONSTRAINT refunds_settling_is_known CHECK (settling IN ('resend', 'retry', 'ask', 'stop')),
    CONSTRAINT refunds_open_has_next_check CHECK (next_check_at IS NOT NULL OR state IN ('processed', 'failed'))
);

CREATE INDEX refunds_by_payment ON refunds (payment_id, id);
CREATE UNIQUE INDEX refunds_one_per_request ON refunds (payment_id, request_key) WHERE request_key IS NOT NULL;
CREATE UNIQUE INDEX refunds_one_per_key ON refunds (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX refunds_one_per_processor_id ON refunds (processor_id) WHERE processor_id IS NOT NULL;
CREATE INDEX refunds_due ON refunds (next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE disputes (
    id           text        PRIMARY KEY,
    payment_id   uuid        NOT NULL REFERENCES payments (id),
    charge_id    text        NOT NULL,
    status       text        NOT NULL,
    reason       text,
    amount       bigint      NOT NULL,
    currency     text        NOT NULL,
    funds        text        NOT NULL,
    fee          bigint,
    fee_currency text,
    opened_at    timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,

    CONSTRAINT disputes_status_is_known CHECK (status IN ('opened', 'won', 'lost')),
    CONSTRAINT disputes_funds_are_known CHECK (funds IN ('untouched', 'withdrawn', 'reinstated'))
);

CREATE INDEX disputes_by_payment ON disputes (payment_id);

CREATE TABLE fraud_checks (
    payment_id  uuid             PRIMARY KEY,
    decision    text             NOT NULL,
    risk_score  double precision,
    source      text             NOT NULL,
    reference   text             NOT NULL,
    note        text,
    received_at timestamptz      NOT NULL,

    CONSTRAINT fraud_checks_decision_is_known CHECK (decision IN ('APPROVED', 'DECLINED', 'MANUAL_REVIEW'))
);

CREATE TABLE order_cancellations (
    order_id     text        PRIMARY KEY,
    reason       text        NOT NULL,
    received_at  timestamptz NOT NULL,
    cancelled_at timestamptz
);

CREATE INDEX order_cancellations_by_time ON order_cancellations (received_at);

CREATE TABLE effects (
    payment_id       uuid        NOT NULL REFERENCES payments (id),
    kind             text        NOT NULL,
    state            text        NOT NULL,
    reason           text,
    tries            integer     NOT NULL DEFAULT 0,
    next_try_at      timestamptz,
    claimed_by       text,
    claim_expires_at timestamptz,
    fence            bigint      NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    ended_at         timestamptz,

    PRIMARY KEY (payment_id, kind),
    CONSTRAINT effects_kind_is_known CHECK (kind IN (
        'receipt', 'customer_notice', 'stock_decrement', 'stock_release')),
    CONSTRAINT effects_state_is_known CHECK (state IN ('waiting', 'done', 'skipped', 'parked', 'dropped')),
    CONSTRAINT effects_waiting_has_next_try CHECK ((next_try_at IS NOT NULL) = (state = 'waiting')),
    CONSTRAINT effects_not_done_has_reason CHECK (state NOT IN ('skipped', 'parked') OR reason IS NOT NULL)
);

CREATE INDEX effects_due ON effects (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX effects_parked ON effects (payment_id) WHERE state = 'parked';

CREATE TABLE customers (
    id               text        PRIMARY KEY,
    processor_id     text        NOT NULL,
    default_method   text,
    updated_at       timestamptz NOT NULL
);

CREATE SCHEMA payment_database;

CREATE VIEW payment_database.payments AS
SELECT id, order_id, customer_id, amount, currency, amount_captured, amount_refunded, created_at, updated_at,
       CASE WHEN state = 'succeeded' THEN 'SUCCEEDED'
            WHEN state IN ('failed', 'canceled') THEN 'FAILED'
            ELSE 'REQUESTED' END AS status
  FROM public.payments;

CREATE VIEW payment_database.refunds AS
SELECT id, payment_id, amount, currency, reason, created_at, updated_at,
       CASE state WHEN 'processed' THEN 'PROCESSED' WHEN 'failed' THEN 'FAILED' ELSE 'REQUESTED' END AS status
  FROM public.refunds;
