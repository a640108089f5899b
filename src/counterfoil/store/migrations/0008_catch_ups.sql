-- How far the processor's list of events was looked through.
SET LOCAL lock_timeout = '2s';

CREATE TABLE catch_ups (
    account       text        NOT NULL,
    livemode      boolean     NOT NULL,
    due_at        timestamptz NOT NULL,
    covered_until timestamptz,
    asked_at      timestamptz,
    asked_since   timestamptz,
    fence         bigint      NOT NULL DEFAULT 0,
    since         timestamptz,
    started_at    timestamptz,
    undelivered   boolean     NOT NULL DEFAULT true,
    after         text,
    listed        integer     NOT NULL DEFAULT 0,
    expected      integer     NOT NULL DEFAULT 0,
    missing       jsonb       NOT NULL DEFAULT '{}',
    last_report   jsonb,

    PRIMARY KEY (account, livemode),
    CONSTRAINT catch_ups_run_is_whole CHECK ((since IS NULL) = (started_at IS NULL))
);
