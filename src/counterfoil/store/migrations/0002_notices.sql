-- Webhook deliveries: a small row for ever, the body in daily partitions, and the quarantine.
SET LOCAL lock_timeout = '2s';

CREATE TABLE notices (
    account      text        NOT NULL,
    livemode     boolean     NOT NULL,
    event_id     text        NOT NULL,
    type         text        NOT NULL,
    object_id    text,
    received_at  timestamptz NOT NULL,
    received_on  date        NOT NULL,
    deliveries   integer     NOT NULL,
    state        text        NOT NULL,
    reason       text,
    payment_id   uuid,
    concluded_at timestamptz,
    tries        integer     NOT NULL DEFAULT 0,
    next_try_at  timestamptz,

    PRIMARY KEY (account, livemode, event_id),
    CONSTRAINT notices_state_is_known CHECK (state IN ('kept', 'done', 'foreign', 'parked')),
    CONSTRAINT notices_open_has_next_try CHECK ((next_try_at IS NOT NULL) = (state = 'kept')),
    CONSTRAINT notices_parked_has_reason CHECK (state <> 'parked' OR reason IS NOT NULL)
);

CREATE INDEX notices_due ON notices (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX notices_by_payment ON notices (payment_id) WHERE payment_id IS NOT NULL;

CREATE TABLE notice_bodies (
    received_on date    NOT NULL,
    account     text    NOT NULL,
    livemode    boolean NOT NULL,
    event_id    text    NOT NULL,
    body        bytea   NOT NULL,

    PRIMARY KEY (received_on, account, livemode, event_id)
) PARTITION BY RANGE (received_on);

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

CREATE FUNCTION tell_notices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('counterfoil_notices', '');
    RETURN NULL;
END $$;

CREATE TRIGGER notices_told AFTER INSERT ON notices FOR EACH STATEMENT EXECUTE FUNCTION tell_notices();

CREATE TABLE quarantine (
    id          uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL,
    reason      text        NOT NULL,
    body        bytea       NOT NULL
);
