-- The system of record, as prose.
--
-- This file is the truth about the schema; the files in migrations/ lead to it step by step, and a test proves that both
-- end in the same database. Money is in minor units (bigint) beside its ISO 4217 code. Every time is UTC.
-- PostgreSQL 15 or later. Nothing here is dropped or rewritten while a payment may still need it.


-- ── Payments ────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One row for each payment order that we accepted. What the client wishes stands first and never changes; below it stands
-- where the payment is now. `state` is derived from the attempts by the rules in domain/states.py and kept here, because
-- reports and indexes want it.

CREATE TABLE payments (
    id                     uuid        PRIMARY KEY,
    event_id               text        NOT NULL,  -- the order's event: one event, one payment, for ever
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
    fingerprint            bytea       NOT NULL,  -- of what must be the same when the same event comes again
    livemode               boolean     NOT NULL,
    created_at             timestamptz NOT NULL,

    state                  text        NOT NULL,
    version                integer     NOT NULL,  -- counts the facts said of this payment
    intent_id              text,                  -- the processor's name for it (pi_…)
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

    stored_method          boolean     NOT NULL DEFAULT false,  -- whether it may be charged again without its customer
    screening_mode         text        NOT NULL DEFAULT 'none', -- when a fraud verdict is waited for
    fraud_decision         text,                   -- the first that decides; final
    reviewing              boolean     NOT NULL DEFAULT false,  -- whether a person has to decide
    decide_by              timestamptz,            -- until when a verdict or a person is, or was, waited for
    hold_ends_at           timestamptz,            -- when a hold ends, an hour before the processor's own end
    let_go_at              timestamptz,            -- when what is held, or waits for its customer, is let go
    amount_to_capture      bigint,                 -- asked for; NULL while nothing is
    cancel_reason          text,
    dispute_status         text,
    fee                    bigint,                 -- what the processor keeps, known late
    fee_currency           text,
    fee_known_at           timestamptz,
    fee_reference          text,                   -- what the processor calls the answer that told it
    learn_at               timestamptz,            -- when the processor is asked for what is known late
    learn_tries            integer     NOT NULL DEFAULT 0,
    refunds_due_at         timestamptz,            -- when its charge's refunds are to be asked for; NULL while nothing hints
    cancel_refund_id       uuid,                   -- what the refund of a success after its order's cancellation will be called
    adopted_at             timestamptz,            -- when it was brought back from the processor, which knows less of it than its order
    traceparent            text,                   -- of the trace that its order came with (W3C Trace Context)

    CONSTRAINT payments_amount_is_positive CHECK (amount > 0),
    CONSTRAINT payments_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT payments_capture_method_is_known CHECK (capture_method IN ('automatic', 'manual')),
    CONSTRAINT payments_state_is_known CHECK (state IN (
        'requested', 'screening', 'processing', 'in_doubt', 'requires_action', 'authorized',
        'succeeded', 'failed', 'canceled')),
    -- Nothing waits for ever: what is not final has a time at which somebody looks again.
    CONSTRAINT payments_open_has_next_check CHECK (
        next_check_at IS NOT NULL OR state IN ('succeeded', 'failed', 'canceled')),
    -- Promise 5: refunds never exceed what was captured.
    CONSTRAINT payments_refunds_within_captured CHECK (
        amount_refunded >= 0 AND amount_refund_reserved >= 0
        AND amount_refunded + amount_refund_reserved <= amount_captured),
    CONSTRAINT payments_screening_mode_is_known CHECK (
        screening_mode IN ('none', 'before_charge', 'before_capture')),
    CONSTRAINT payments_fraud_decision_is_known CHECK (fraud_decision IN ('APPROVED', 'DECLINED')),
    CONSTRAINT payments_dispute_status_is_known CHECK (dispute_status IN ('opened', 'won', 'lost')),
    CONSTRAINT payments_capture_within_amount CHECK (amount_to_capture > 0 AND amount_to_capture <= amount),
    CONSTRAINT payments_traceparent_is_one CHECK (
        traceparent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}' AND length(traceparent) <= 255)
);

-- The same order event twice is the same payment.
CREATE UNIQUE INDEX payments_one_per_event ON payments (event_id);
-- An order owns at most one live payment; one that failed or was canceled may be followed by another. It does not own its
-- order again when money comes late all the same: then there are two successes, and both must be on record.
CREATE UNIQUE INDEX payments_one_live_per_order ON payments (order_id) WHERE owns_order;
CREATE INDEX payments_by_order ON payments (order_id, id);
CREATE INDEX payments_by_creation ON payments (created_at, id);
CREATE INDEX payments_by_state ON payments (state, id);
CREATE INDEX payments_by_customer ON payments (customer_id, id) WHERE customer_id IS NOT NULL;
CREATE UNIQUE INDEX payments_by_intent ON payments (intent_id) WHERE intent_id IS NOT NULL;
-- The worker's agenda.
CREATE INDEX payments_due ON payments (next_check_at) WHERE next_check_at IS NOT NULL;
-- The agenda of fraud screening, and who waits for a person.
CREATE INDEX payments_screened ON payments (decide_by) WHERE screening;
CREATE INDEX payments_reviewed ON payments (id) WHERE reviewing;
CREATE INDEX payments_to_learn_of ON payments (learn_at) WHERE learn_at IS NOT NULL;
-- A hint that comes before the money, or to a payment that never gets any, waits outside of this index.
CREATE INDEX payments_refunds_due ON payments (refunds_due_at) WHERE refunds_due_at IS NOT NULL AND state = 'succeeded';


-- ── Attempts ────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One row for each try with the processor. The idempotency key, the request and the time of the first send are committed
-- before a byte leaves, so that whoever comes after a crash can send the very same bytes again. `fence` counts the claims
-- on the row: what was sent under an older claim can no longer be recorded.

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
    exposed           boolean     NOT NULL,  -- whether a send of it may have reached the processor
    unknown_since     timestamptz,
    absent_since      timestamptz,

    charge_id         text,
    decline_reason    text,
    decline_code      text,
    decline_message   text,
    decline_can_retry boolean,
    action_url        text,
    action_expires_at timestamptz,

    payment_method    text,                        -- what this one is paid with; NULL only where older code wrote it
    settling          text        NOT NULL DEFAULT 'resend',  -- how an unknown outcome is to be learned
    may_appear_until  timestamptz,                 -- until then the processor may still do what it was asked
    expired_at        timestamptz,                 -- when the customer's time was over

    PRIMARY KEY (payment_id, number),
    CONSTRAINT attempts_number_is_positive CHECK (number > 0),
    CONSTRAINT attempts_state_is_known CHECK (state IN (
        'queued', 'sent', 'requires_action', 'processing', 'authorized', 'declined', 'canceled', 'captured')),
    CONSTRAINT attempts_sent_has_time CHECK (state <> 'sent' OR first_sent_at IS NOT NULL),
    CONSTRAINT attempts_declined_has_reason CHECK (state <> 'declined' OR decline_reason IS NOT NULL),
    CONSTRAINT attempts_settling_is_known CHECK (settling IN ('resend', 'retry', 'ask', 'stop'))
);

CREATE UNIQUE INDEX attempts_one_per_key ON attempts (idempotency_key);
CREATE UNIQUE INDEX attempts_one_per_charge ON attempts (charge_id) WHERE charge_id IS NOT NULL;


-- ── Operations ──────────────────────────────────────────────────────────────────────────────────────────────────────
-- What else is asked of the processor about a payment it knows: to capture it, or to let it go. Like an attempt, each has its key, its bytes
-- and the time of its first send on record before they leave, and is claimed under a fence.

CREATE TABLE operations (
    payment_id       uuid        NOT NULL REFERENCES payments (id),
    kind             text        NOT NULL,
    number           integer     NOT NULL,  -- counts those of its kind: a new one where the last one's key grew too old
    attempt          integer     NOT NULL,  -- the attempt it is about
    idempotency_key  text        NOT NULL,
    request          bytea       NOT NULL,
    request_hash     bytea       NOT NULL,
    claimed_by       text,
    claim_expires_at timestamptz,
    fence            bigint      NOT NULL,
    first_sent_at    timestamptz NOT NULL,
    last_sent_at     timestamptz NOT NULL,
    settled_at       timestamptz,           -- when a definite answer came
    amount           bigint,                -- to capture

    PRIMARY KEY (payment_id, kind, number),
    FOREIGN KEY (payment_id, attempt) REFERENCES attempts (payment_id, number),
    CONSTRAINT operations_kind_is_known CHECK (kind IN ('cancel', 'capture'))
);

CREATE UNIQUE INDEX operations_one_per_key ON operations (idempotency_key);


-- ── Pauses ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- While the processor refuses our key, nothing is sent with it and nothing asked; no payment is at fault. `credential` is a
-- digest of the key: who has been given a new one is not held up by the old one's pause.

CREATE TABLE pauses (
    credential text        PRIMARY KEY,
    since      timestamptz NOT NULL,
    reason     text        NOT NULL,
    probe_at   timestamptz NOT NULL   -- when to try whether it is taken again
);


-- ── Rate budgets ────────────────────────────────────────────────────────────────────────────────────────────────────────
-- How many calls the processor takes from an account in this moment, in millionths of one: all of them, and what each kind of
-- question may have of these. Refilled by arithmetic whenever somebody takes from it. Unlogged, because nobody may wait for the
-- disk here and nothing is lost with it: after a crash the row is gone, and whoever comes first begins again with nothing.

CREATE UNLOGGED TABLE rate_budgets (
    account     text        NOT NULL,  -- '' is our own account; the limit is the account's, whatever key is used
    livemode    boolean     NOT NULL,
    tokens      bigint      NOT NULL,
    look_up     bigint      NOT NULL,
    reconcile   bigint      NOT NULL,
    catch_up    bigint      NOT NULL,
    refilled_at timestamptz NOT NULL,  -- ahead of now while nothing may be taken

    PRIMARY KEY (account, livemode)
);


-- ── Facts ───────────────────────────────────────────────────────────────────────────────────────────────────────────
-- What became true of a payment, in order, each with its cause. Written in the transaction that changes the state; never
-- changed, never dropped. A payment's facts are numbered 1, 2, 3 … without a gap.

CREATE TABLE facts (
    payment_id      uuid        NOT NULL REFERENCES payments (id),
    version         integer     NOT NULL,
    id              uuid        NOT NULL,
    name            text        NOT NULL,
    schema_version  text        NOT NULL,
    body            jsonb       NOT NULL,  -- the message as it goes out
    cause_source    text        NOT NULL,
    cause_reference text        NOT NULL,
    occurred_at     timestamptz NOT NULL,

    PRIMARY KEY (payment_id, version)
);

CREATE UNIQUE INDEX facts_by_id ON facts (id);

-- The outbox holds only what is still to be published. The row lock on the payment already orders its facts, so the
-- publisher takes the lowest unpublished version of each payment; there is no cursor that could run past a late commit.
CREATE TABLE outbox (
    payment_id uuid    NOT NULL,
    version    integer NOT NULL,

    PRIMARY KEY (payment_id, version),
    FOREIGN KEY (payment_id, version) REFERENCES facts (payment_id, version)
);

-- Where each published fact stands in the one order that readers of /events follow. Only the leading publisher writes
-- here, one transaction after the other, so a position that can be seen has no lower one still to come.
CREATE TABLE positions (
    position     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id   uuid        NOT NULL,
    version      integer     NOT NULL,
    published_at timestamptz NOT NULL,
    undelivered  text,                  -- why no broker has it, where none took it; readers of /events have it all the same

    UNIQUE (payment_id, version),
    FOREIGN KEY (payment_id, version) REFERENCES facts (payment_id, version)
);

CREATE INDEX positions_undelivered ON positions (position) WHERE undelivered IS NOT NULL;

-- Whoever waits for the outbox is told once for each transaction; PostgreSQL folds equal notifications of one transaction.
CREATE FUNCTION tell_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('counterfoil_outbox', '');
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_told AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION tell_outbox();


-- ── Notices ─────────────────────────────────────────────────────────────────────────────────────────────────────────
-- A webhook delivery is two rows. This one is small and kept for ever: it says that the event was seen, and what became of
-- it. Live and test events never meet, nor those of two accounts.

CREATE TABLE notices (
    account      text        NOT NULL,  -- '' is our own account
    livemode     boolean     NOT NULL,
    event_id     text        NOT NULL,
    type         text        NOT NULL,
    object_id    text,
    received_at  timestamptz NOT NULL,
    received_on  date        NOT NULL,  -- where the body is
    deliveries   integer     NOT NULL,  -- 0: found by catching up, and never delivered
    state        text        NOT NULL,
    reason       text,                  -- why it ended as it did, where that is no success
    payment_id   uuid,
    concluded_at timestamptz,
    tries        integer     NOT NULL DEFAULT 0,
    next_try_at  timestamptz,
    awaits_payment boolean   NOT NULL DEFAULT false,  -- parked, until the payment that it names is here

    PRIMARY KEY (account, livemode, event_id),
    -- kept: to be read · done: read · foreign: none of ours · parked: ours, but its owner is not here yet, or unreadable
    CONSTRAINT notices_state_is_known CHECK (state IN ('kept', 'done', 'foreign', 'parked')),
    CONSTRAINT notices_open_has_next_try CHECK ((next_try_at IS NOT NULL) = (state = 'kept')),
    CONSTRAINT notices_parked_has_reason CHECK (state <> 'parked' OR reason IS NOT NULL)
);

CREATE INDEX notices_due ON notices (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX notices_by_payment ON notices (payment_id) WHERE payment_id IS NOT NULL;
-- Those whose payment is looked for, round by round.
CREATE INDEX notices_awaiting ON notices (payment_id, event_id) WHERE state = 'parked' AND awaits_payment;
-- How people look through them: the latest first, or what is parked.
CREATE INDEX notices_by_time ON notices (received_at, event_id);
CREATE INDEX notices_parked ON notices (received_at, event_id) INCLUDE (awaits_payment) WHERE state = 'parked';

-- The other row is the body, byte for byte. It lives in a partition for each day, so that old days can be dropped whole. There is no
-- default partition on purpose: rows in it would have to be moved out again, row by row.
CREATE TABLE notice_bodies (
    received_on date    NOT NULL,
    account     text    NOT NULL,
    livemode    boolean NOT NULL,
    event_id    text    NOT NULL,
    body        bytea   NOT NULL,

    PRIMARY KEY (received_on, account, livemode, event_id)
) PARTITION BY RANGE (received_on);

-- Make the partitions for `days` days from `first` on, those that do not exist yet. Attaching takes a weaker lock on the
-- parent than creating inside it, so deliveries go on meanwhile; the advisory lock lets several roles start at once.
CREATE FUNCTION make_notice_partitions(first date, days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('counterfoil notice partitions'));
    FOR day IN SELECT first + n FROM generate_series(0, days - 1) AS n LOOP
        name := 'notice_bodies_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE notice_bodies INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE notice_bodies ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, day, day + 1);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drop the oldest partitions of days before `before`, at most so many, and return how many were dropped. A body that is still
-- to be read keeps its whole day. Dropping locks the parent against everybody for a moment, so nobody queues for that lock:
-- who does not get it almost at once drops nothing, and comes again. Under it is looked once more, for somebody may have put a
-- notice back to be read.
CREATE FUNCTION drop_notice_partitions(before date, most integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    day     date;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('counterfoil notice partitions'));
    FOR day IN
        SELECT to_date(right(relname, 8), 'YYYYMMDD') AS its_day
          FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'notice_bodies'::regclass ORDER BY its_day
    LOOP
        EXIT WHEN day >= before OR dropped = most;
        CONTINUE WHEN EXISTS (SELECT FROM notices WHERE next_try_at IS NOT NULL AND received_on = day);
        LOCK TABLE notice_bodies IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN EXISTS (SELECT FROM notices WHERE next_try_at IS NOT NULL AND received_on = day);
        EXECUTE format('DROP TABLE %I', 'notice_bodies_' || to_char(day, 'YYYYMMDD'));
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;  -- what was dropped before is there again: the block is taken back as a whole
END $$;

CREATE FUNCTION tell_notices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('counterfoil_notices', '');
    RETURN NULL;
END $$;

CREATE TRIGGER notices_told AFTER INSERT ON notices FOR EACH STATEMENT EXECUTE FUNCTION tell_notices();

-- What carried a good signature and yet was no event: kept as it came, for a person to look at.
CREATE TABLE quarantine (
    id          uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL,
    reason      text        NOT NULL,
    body        bytea       NOT NULL
);


-- ── Catching up ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- How far the processor's list of events was looked through for what was never delivered. One row for each account and mode.
-- A run goes through the list twice, newest first, page by page: what counts as undelivered, then all. Each page is written
-- down in the transaction that keeps what it brought, under a fence, so that whoever comes after a crash goes on there.

CREATE TABLE catch_ups (
    account       text        NOT NULL,  -- '' is our own account
    livemode      boolean     NOT NULL,
    due_at        timestamptz NOT NULL,  -- of the next page, or the next run; while a page is worked on, when its claim ends
    covered_until timestamptz,           -- everything before was looked through; NULL until a run has ended
    asked_at      timestamptz,           -- when a person asked for a run that has not begun yet
    asked_since   timestamptz,           -- and how far back it is to go
    fence         bigint      NOT NULL DEFAULT 0,

    since         timestamptz,           -- how far back the run under way goes; NULL while there is none
    started_at    timestamptz,
    undelivered   boolean     NOT NULL DEFAULT true,  -- whether it is at what counts as undelivered
    after         text,                  -- the event that it has got to; NULL at the beginning
    listed        integer     NOT NULL DEFAULT 0,     -- events seen in it, of whomever
    expected      integer     NOT NULL DEFAULT 0,     -- of these, those about payments of ours
    missing       jsonb       NOT NULL DEFAULT '{}',  -- of these, those that were not here, by type
    last_report   jsonb,                 -- what the last run found

    PRIMARY KEY (account, livemode),
    CONSTRAINT catch_ups_run_is_whole CHECK ((since IS NULL) = (started_at IS NULL))
);


-- ── Refunds ────────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One row for each refund, ours or made elsewhere. What is asked for is reserved on the payment's row, under its lock; key and
-- request are on record before they leave. What was made elsewhere has neither, and is only looked at.

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
    fingerprint      bytea,                 -- of what must be the same when the same request key comes again
    may_appear_until timestamptz,           -- until then the processor may still do what it was asked

    CONSTRAINT refunds_amount_is_positive CHECK (amount > 0),
    CONSTRAINT refunds_state_is_known CHECK (state IN ('requested', 'pending', 'processed', 'failed')),
    CONSTRAINT refunds_settling_is_known CHECK (settling IN ('resend', 'retry', 'ask', 'stop')),
    CONSTRAINT refunds_open_has_next_check CHECK (next_check_at IS NOT NULL OR state IN ('processed', 'failed'))
);

CREATE INDEX refunds_by_payment ON refunds (payment_id, id);
CREATE UNIQUE INDEX refunds_one_per_request ON refunds (payment_id, request_key) WHERE request_key IS NOT NULL;
CREATE UNIQUE INDEX refunds_one_per_key ON refunds (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX refunds_one_per_processor_id ON refunds (processor_id) WHERE processor_id IS NOT NULL;
CREATE INDEX refunds_by_creation ON refunds (created_at);
CREATE INDEX refunds_due ON refunds (next_check_at) WHERE next_check_at IS NOT NULL;


-- ── Disputes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
-- A customer's bank takes the money back, or tries to. A debit that bounces after its success arrives as one.

CREATE TABLE disputes (
    id           text        PRIMARY KEY,  -- the processor's
    payment_id   uuid        NOT NULL REFERENCES payments (id),
    charge_id    text        NOT NULL,
    status       text        NOT NULL,
    reason       text,
    amount       bigint      NOT NULL,
    currency     text        NOT NULL,
    funds        text        NOT NULL,     -- whether the processor took the amount from us, and gave it back
    fee          bigint,
    fee_currency text,                     -- it is asked in the currency of our account
    opened_at    timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,

    CONSTRAINT disputes_status_is_known CHECK (status IN ('opened', 'won', 'lost')),
    CONSTRAINT disputes_funds_are_known CHECK (funds IN ('untouched', 'withdrawn', 'reinstated'))
);

CREATE INDEX disputes_by_payment ON disputes (payment_id);
CREATE INDEX disputes_by_opening ON disputes (opened_at);


-- ── Verdicts and cancellations that came early ─────────────────────────────────────────────────────────────────────────
-- They may speak of a payment, or an order, that is not here yet; they are kept, and applied when it comes. Of a payment's
-- verdicts the first that decides stays, a person's among them.

CREATE TABLE fraud_checks (
    payment_id  uuid             PRIMARY KEY,
    decision    text             NOT NULL,
    risk_score  double precision,
    source      text             NOT NULL,  -- a fraud check, or a person who reviewed
    reference   text             NOT NULL,  -- the check's own id, or who the person came as
    note        text,
    received_at timestamptz      NOT NULL,
    grounds     jsonb,                      -- why, as the check says: reasons, signals and their weights, confidence

    CONSTRAINT fraud_checks_decision_is_known CHECK (decision IN ('APPROVED', 'DECLINED', 'MANUAL_REVIEW'))
);

CREATE TABLE order_cancellations (
    order_id     text        PRIMARY KEY,
    reason       text        NOT NULL,
    received_at  timestamptz NOT NULL,
    cancelled_at timestamptz           -- as the order's owner says
);

CREATE INDEX order_cancellations_by_time ON order_cancellations (received_at);


-- ── Effects ────────────────────────────────────────────────────────────────────────────────────────────────────────────
-- What follows from a payment's end, once each: the receipt, word to the customer, what the stock is asked for. A row comes with
-- the transaction that says the end; what the stock is asked for is a fact in it, so its row is done at once. The others are
-- claimed under a fence, retried by themselves, and parked for a person in the end.

CREATE TABLE effects (
    payment_id       uuid        NOT NULL REFERENCES payments (id),
    kind             text        NOT NULL,
    state            text        NOT NULL,
    reason           text,                   -- why it is skipped or parked, or why the last try failed
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

-- The worker's agenda.
CREATE INDEX effects_due ON effects (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX effects_parked ON effects (payment_id) WHERE state = 'parked';


-- ── Task tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────
-- A state machine may drive a payment: it sends its steps with a token each, sleeps, and is woken when that is answered. A retry
-- of a step brings a new token. A token is answered once, by whoever claims it under a fence; then its text is erased, and its
-- hash stays, so that the same message again is nothing new. What such a payment needs done waits for its machine to ask, while
-- `driven_payments` has no `given_back_at`.

CREATE TABLE driven_payments (
    payment_id    uuid        PRIMARY KEY REFERENCES payments (id),
    since         timestamptz NOT NULL,
    given_back_at timestamptz  -- since when it is the workers' again
);

CREATE TABLE task_tokens (
    id                uuid        PRIMARY KEY,
    payment_id        uuid        REFERENCES payments (id),  -- NULL where what was asked for is no payment
    step              text        NOT NULL,
    token             text,                 -- a secret; gone once it is settled
    token_hash        bytea       NOT NULL,
    execution         text        NOT NULL,
    attempt           integer,              -- of those that wait for the money: for which attempt's outcome
    heartbeat_seconds integer,
    refusal           jsonb,                -- what is answered where no payment is to be waited for
    failures          integer     NOT NULL DEFAULT 0,
    next_try_at       timestamptz,          -- to be answered, or to give a sign of life
    woken             boolean     NOT NULL DEFAULT false,  -- something happened since it was claimed
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
-- The worker's agenda.
CREATE INDEX task_tokens_due ON task_tokens (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX task_tokens_parked ON task_tokens (id) WHERE outcome = 'parked';


-- ── Reconciliations ───────────────────────────────────────────────────────────────────────────────────────────────────
-- Both books compared, ours and the processor's, page by page: `stage`, and `behind` in it, is where the next page begins, so
-- that whoever comes after a crash goes on there. One at a time, the oldest first. `night` is the night a worker asked for it.

CREATE TABLE reconciliations (
    id               uuid        PRIMARY KEY,
    asked_by         text        NOT NULL,  -- the name of a token, or the night
    asked_at         timestamptz NOT NULL,
    since            timestamptz NOT NULL,
    until            timestamptz NOT NULL,
    night            date,
    stage            text        NOT NULL,
    behind           text,
    reached          timestamptz,           -- when the last thing that was read was made
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

-- Which payments a comparison has seen at the processor, until it is finished: what it has not seen is asked for by name. Kept
-- here rather than in the worker's memory, which so stays the same however many there are.
CREATE TABLE reconciled (
    reconciliation_id uuid NOT NULL REFERENCES reconciliations (id),
    payment_id        uuid NOT NULL,

    PRIMARY KEY (reconciliation_id, payment_id)
);

-- In what the books differ. Suspected first, and compared again, for what moves is not the same on both sides at every moment;
-- settled by a machine, left for a person, or acknowledged by one.
CREATE TABLE differences (
    id                uuid        PRIMARY KEY,
    reconciliation_id uuid        NOT NULL REFERENCES reconciliations (id),
    subject           text        NOT NULL,
    verdict           text        NOT NULL,
    resource          text        NOT NULL,  -- what kind of thing of the processor's it was found at
    reference         text        NOT NULL,  -- the processor's name for that thing
    payment_id        uuid,                  -- ours, or the one that its metadata claims
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
    CONSTRAINT differences_remedy_is_known CHECK (remedy IN ('hear', 'recount', 'learn', 'ask', 'adopt', 'person')),
    CONSTRAINT differences_state_is_known CHECK (state IN ('suspected', 'settled', 'left', 'acknowledged')),
    CONSTRAINT differences_suspected_has_next_try CHECK ((next_try_at IS NOT NULL) = (state = 'suspected'))
);

CREATE UNIQUE INDEX differences_one_per_thing ON differences (reconciliation_id, subject, resource, reference);
CREATE INDEX differences_due ON differences (reconciliation_id, next_try_at) WHERE next_try_at IS NOT NULL;


-- ── Restores ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- A database that was put back to an earlier moment has forgotten what it has sent since. While one of these is not finished,
-- nothing is sent and no new order is taken; the processor is only asked. `known_until` is what it was put back to, at the
-- earliest.

CREATE TABLE restores (
    id          uuid        PRIMARY KEY,
    reason      text        NOT NULL,
    began_at    timestamptz NOT NULL,
    known_until timestamptz NOT NULL,
    finished_at timestamptz,
    cleared_by  uuid        REFERENCES reconciliations (id)  -- the comparison after which nothing was left
);

CREATE UNIQUE INDEX restores_one_at_a_time ON restores ((true)) WHERE finished_at IS NULL;


-- ── Customers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- Which of our customers is which of the processor's.

CREATE TABLE customers (
    id               text        PRIMARY KEY,
    processor_id     text        NOT NULL,
    default_method   text,
    updated_at       timestamptz NOT NULL
);


-- ── What reports read ──────────────────────────────────────────────────────────────────────────────────────────────────
-- Fewer words than we have states, and kept apart from our tables, so that these may change.

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


-- ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- Who may call the gateway. A token names a service; only its hash is kept.

CREATE TABLE tokens (
    name       text        PRIMARY KEY,
    hash       bytea       NOT NULL,
    scopes     text[]      NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,

    CONSTRAINT tokens_scopes_are_known CHECK (scopes <@ ARRAY['charge', 'refund', 'read', 'admin'])
);

CREATE UNIQUE INDEX tokens_by_hash ON tokens (hash);


-- ── Migrations ──────────────────────────────────────────────────────────────────────────────────────────────────────
-- Which of the files in migrations/ this database has been through.

CREATE TABLE schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
