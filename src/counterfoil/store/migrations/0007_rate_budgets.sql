-- How many calls the processor takes in this moment, shared by all processes.
SET LOCAL lock_timeout = '2s';

CREATE UNLOGGED TABLE rate_budgets (
    account     text        NOT NULL,
    livemode    boolean     NOT NULL,
    tokens      bigint      NOT NULL,
    look_up     bigint      NOT NULL,
    reconcile   bigint      NOT NULL,
    catch_up    bigint      NOT NULL,
    refilled_at timestamptz NOT NULL,

    PRIMARY KEY (account, livemode)
);
