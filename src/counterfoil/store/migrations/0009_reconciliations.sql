-- Both books compared, ours and the processor's.
SET LOCAL lock_timeout = '2s';

CREATE INDEX payments_by_creation ON payments (created_at, id);
CREATE INDEX refunds_by_creation ON refunds (created_at);
CREATE INDEX disputes_by_opening ON disputes (opened_at);

CREATE TABLE reconciliations (
    id               uuid        PRIMARY KEY,
    asked_by         text        NOT NULL,
    asked_at         timestamptz NOT NULL,
    since            timestamptz NOT NULL,
    until            timestamptz NOT NULL,
    night            date,
    stage            text        NOT NULL,
    behind           text,
    reached          timestamptz,
    compared         bigint      NOT NULL DEFAULT 0,
    foreign_things   bigint      NOT NULL DEFAULT 0,
    next_at          timestamptz NOT NULL,
    claimed_by       text,
    claim_expires_at timestamptz,
    fence            bigint      NOT NULL DEFAULT 0,
    started_at       timestamptz,
    finished_at      timestamptz,

    CONSTRAINT reconciliations_stage_is_known CHECK (stage IN (
        'intent', 'charge', 'refund', 'dispute', 'ours', 'again', 'finished')),
    CONSTRAINT reconciliations_finished_has_time CHECK ((stage = 'finished') = (finished_at IS NOT NULL))
);

CREATE UNIQUE INDEX reconciliations_one_per_night ON reconciliations (night);
CREATE INDEX reconciliations_unfinished ON reconciliations (asked_at, id) WHERE finished_at IS NULL;
CREATE INDEX reconciliations_finished ON reconciliations (asked_at) WHERE finished_at IS NOT NULL;

CREATE TABLE reconciled (
    reconciliation_id uuid NOT NULL REFERENCES reconciliations (id),
    payment_id        uuid NOT NULL,

    PRIMARY KEY (reconciliation_id, payment_id)
);

CREATE TABLE differences (
    id                uuid        PRIMARY KEY,
    reconciliation_id uuid        NOT NULL REFERENCES reconciliations (id),
    subject           text        NOT NULL,
    verdict           text        NOT NULL,
    resource          text        NOT NULL,
    reference         text        NOT NULL,
    payment_id        uuid,
    ours              text,
    theirs            text,
    remedy            text        NOT NULL,
    state             text        NOT NULL,
    tries             integer     NOT NULL DEFAULT 0,
    next_try_at       timestamptz,
    found_at          timestamptz NOT NULL,
    ended_at          timestamptz,
    acknowledged_by   text,
    note              text,

    CONSTRAINT differences_subject_is_known CHECK (subject IN ('payment', 'refund', 'dispute', 'fee')),
    CONSTRAINT differences_verdict_is_known CHECK (verdict IN ('ours_missing', 'theirs_missing', 'amount', 'state')),
    CONSTRAINT differences_resource_is_known CHECK (resource IN ('intent', 'charge', 'refund', 'dispute')),
    CONSTRAINT differences_remedy_is_known CHECK (remedy IN ('hear', 'recount', 'learn', 'person')),
    CONSTRAINT differences_state_is_known CHECK (state IN ('suspected', 'settled', 'left', 'acknowledged')),
    CONSTRAINT differences_suspected_has_next_try CHECK ((next_try_at IS NOT NULL) = (state = 'suspected'))
);

CREATE UNIQUE INDEX differences_one_per_thing ON differences (reconciliation_id, subject, resource, reference);
CREATE INDEX differences_due ON differences (reconciliation_id, next_try_at) WHERE next_try_at IS NOT NULL;
