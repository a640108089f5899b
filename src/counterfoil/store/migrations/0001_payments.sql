-- Payments, their attempts, their facts, and the way out; and who may call.
SET LOCAL lock_timeout = '2s';

CREATE TABLE payments (
    id                     uuid        PRIMARY KEY,
    event_id               text        NOT NULL,
    order_id               text        NOT NULL,
    customer_id            text,
    customer_email         text,
    amount                 bigint      NOT NULL,
    currency               text        NOT NULL,
    capture_method         text        NOT NULL,
    payment_method         text        NOT NULL,
    off_session            boolean     NOT NULL,
    mandate                jsonb,
    return_url             text,
    locale                 text,
    items                  jsonb       NOT NULL,
    metadata               jsonb       NOT NULL,
    fingerprint            bytea       NOT NULL,
    livemode               boolean     NOT NULL,
    created_at             timestamptz NOT NULL,

    state                  text        NOT NULL,
    version                integer     NOT NULL,
    intent_id              text,
    amount_captured        bigint      NOT NULL DEFAULT 0,
    amount_refunded        bigint      NOT NULL DEFAULT 0,
    amount_refund_reserved bigint      NOT NULL DEFAULT 0,
    disputed               boolean     NOT NULL DEFAULT false,
    screening              boolean     NOT NULL DEFAULT false,
    owns_order             boolean     NOT NULL DEFAULT true,
    retry_at               timestamptz,
    cancel_requested_at    timestamptz,
    checks                 integer     NOT NULL DEFAULT 0,
    next_check_at          timestamptz,
    updated_at             timestamptz NOT NULL,

    CONSTRAINT payments_amount_is_positive CHECK (amount > 0),
    CONSTRAINT payments_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT payments_capture_method_is_known CHECK (capture_method IN ('automatic', 'manual')),
    CONSTRAINT payments_state_is_known CHECK (state IN (
        'requested', 'screening', 'processing', 'in_doubt', 'requires_action', 'authorized',
        'succeeded', 'failed', 'canceled')),
    CONSTRAINT payments_open_has_next_check CHECK (
        next_check_at IS NOT NULL OR state IN ('succeeded', 'failed', 'canceled')),
    CONSTRAINT payments_refunds_within_captured CHECK (
        amount_refunded >= 0 AND amount_refund_reserved >= 0
        AND amount_refunded + amount_refund_reserved <= amount_captured)
);
CREATE UNIQUE INDEX payments_one_per_event ON payments (event_id);
CREATE UNIQUE INDEX payments_one_live_per_order ON payments (order_id) WHERE owns_order;
CREATE INDEX payments_by_order ON payments (order_id, id);
CREATE INDEX payments_by_state ON payments (state, id);
CREATE INDEX payments_by_customer ON payments (customer_id, id) WHERE customer_id IS NOT NULL;
CREATE UNIQUE INDEX payments_by_intent ON payments (intent_id) WHERE intent_id IS NOT NULL;
CREATE INDEX payments_due ON payments (next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE attempts (
    payment_id        uuid        NOT NULL REFERENCES payments (id),
    number            integer     NOT NULL,
    state             text        NOT NULL,
    idempotency_key   text        NOT NULL,
    request           bytea       NOT NULL,
    request_hash      bytea       NOT NULL,
    created_at        timestamptz NOT NULL,

    claimed_by        text,
    claim_expires_at  timestamptz,
    fence             bigint      NOT NULL,
    first_sent_at     timestamptz,
    last_sent_at      timestamptz,
    exposed           boolean     NOT NULL,
    unknown_since     timestamptz,
    absent_since      timestamptz,

    charge_id         text,
    decline_reason    text,
    decline_code      text,
    decline_message   text,
    decline_can_retry boolean,
    action_url        text,
    action_expires_at timestamptz,

    PRIMARY KEY (payment_id, number),
    CONSTRAINT attempts_number_is_positive CHECK (number > 0),
    CONSTRAINT attempts_state_is_known CHECK (state IN (
        'queued', 'sent', 'requires_action', 'processing', 'authorized', 'declined', 'canceled', 'captured')),
    CONSTRAINT attempts_sent_has_time CHECK (state <> 'sent' OR first_sent_at IS NOT NULL),
    CONSTRAINT attempts_declined_has_reason CHECK (state <> 'declined' OR decline_reason IS NOT NULL)
);

CREATE UNIQUE INDEX attempts_one_per_key ON attempts (idempotency_key);
CREATE UNIQUE INDEX attempts_one_per_charge ON attempts (charge_id) WHERE charge_id IS NOT NULL;

CREATE TABLE facts (
    payment_id      uuid        NOT NULL REFERENCES payments (id),
    version         integer     NOT NULL,
    id              uuid        NOT NULL,
    name            text        NOT NULL,
    schema_version  text        NOT NULL,
    body            jsonb       NOT NULL,
    cause_source    text        NOT NULL,
    cause_reference text        NOT NULL,
    occurred_at     timestamptz NOT NULL,

    PRIMARY KEY (payment_id, version)
);

CREATE UNIQUE INDEX facts_by_id ON facts (id);

CREATE TABLE outbox (
    payment_id uuid    NOT NULL,
    version    integer NOT NULL,

    PRIMARY KEY (payment_id, version),
    FOREIGN KEY (payment_id, version) REFERENCES facts (payment_id, version)
);

CREATE TABLE positions (
    position     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id   uuid        NOT NULL,
    version      integer     NOT NULL,
    published_at timestamptz NOT NULL,

    UNIQUE (payment_id, version),
    FOREIGN KEY (payment_id, version) REFERENCES facts (payment_id, version)
);

CREATE FUNCTION tell_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('counterfoil_outbox', '');
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_told AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION tell_outbox();

CREATE TABLE tokens (
    name       text        PRIMARY KEY,
    hash       bytea       NOT NULL,
    scopes     text[]      NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,

    CONSTRAINT tokens_scopes_are_known CHECK (scopes <@ ARRAY['charge', 'refund', 'read', 'admin'])
);

CREATE UNIQUE INDEX tokens_by_hash ON tokens (hash);
