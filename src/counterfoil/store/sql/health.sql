-- What an operator wants to know of the server and of the work that waits. None of these takes a lock.

-- name: server
-- What the server is, how it keeps what it acknowledged, which session we are by its own word, and its clock.
SELECT current_setting('server_version_num')::int AS version,
       pg_is_in_recovery() AS standby,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('fsync') = 'on' AS fsync,
       current_setting('full_page_writes') = 'on' AS full_page_writes,
       current_setting('server_encoding') AS encoding,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connected,
       pg_backend_pid() AS session,
       clock_timestamp() AS clock;

-- name: work
-- How much waits at $1, and since when: notices not read, facts not published, payments and refunds whose time has come.
SELECT (SELECT count(*) FROM notices WHERE next_try_at IS NOT NULL) AS notices,
       (SELECT min(received_at) FROM notices WHERE next_try_at IS NOT NULL) AS notices_since,
       (SELECT count(*) FROM outbox) AS facts,
       (SELECT min(occurred_at) FROM outbox JOIN facts USING (payment_id, version)) AS facts_since,
       (SELECT count(*) FROM payments WHERE next_check_at <= $1::timestamptz) AS payments,
       (SELECT min(next_check_at) FROM payments WHERE next_check_at <= $1::timestamptz) AS payments_since,
       (SELECT count(*) FROM refunds WHERE next_check_at <= $1::timestamptz) AS refunds,
       (SELECT min(next_check_at) FROM refunds WHERE next_check_at <= $1::timestamptz) AS refunds_since,
       (SELECT count(*) FROM payments WHERE next_check_at IS NOT NULL) AS open,
       (SELECT count(*) FROM payments WHERE state = 'in_doubt') AS in_doubt,
       (SELECT count(*) FROM effects WHERE state = 'parked') AS parked;

-- name: received
-- When those of the events $3 of the account $1 and the mode $2 that were delivered to us were received.
SELECT event_id, received_at FROM notices
 WHERE account = $1::text AND livemode = $2::boolean AND event_id = ANY($3::text[]) AND deliveries > 0;

-- name: oldest_claim
-- Since when the oldest claim on an attempt is held, of those payments whose time has come, or comes by $1. Takes no lock.
SELECT min(a.last_sent_at) AS since FROM payments AS p JOIN attempts AS a ON a.payment_id = p.id
 WHERE p.next_check_at <= $1::timestamptz AND a.claimed_by IS NOT NULL;
