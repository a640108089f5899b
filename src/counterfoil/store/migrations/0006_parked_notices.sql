-- Notices that wait for the payment they name, what people need to look through all of them, and the end of bodies.
SET LOCAL lock_timeout = '2s';

ALTER TABLE notices ADD COLUMN awaits_payment boolean NOT NULL DEFAULT false;

CREATE INDEX notices_awaiting ON notices (payment_id, event_id) WHERE state = 'parked' AND awaits_payment;
CREATE INDEX notices_by_time ON notices (received_at, event_id);
CREATE INDEX notices_parked ON notices (received_at, event_id) INCLUDE (awaits_payment) WHERE state = 'parked';

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
