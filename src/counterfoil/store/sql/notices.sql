-- Webhook deliveries: kept as they come, read later.

-- name: keep
-- Keep deliveries: the small row, its count of deliveries raised where it is known already, and the body of those that
-- are new. One that is parked waits to be read again: what was in its way may be gone. Returns for each what the kept row
-- says it is. Waits for a rival that keeps the same event.
WITH come AS (
    SELECT * FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bytea[])
           AS t(account, livemode, event_id, type, object_id, deliveries, body)
), kept AS (
    INSERT INTO notices AS n (
        account, livemode, event_id, type, object_id, received_at, received_on, deliveries, state, next_try_at)
    SELECT account, livemode, event_id, type, object_id, $8::timestamptz, $9::date, deliveries, 'kept', $8::timestamptz
      FROM come ORDER BY account, livemode, event_id
    ON CONFLICT (account, livemode, event_id) DO UPDATE
       SET deliveries = n.deliveries + excluded.deliveries,
           state = CASE n.state WHEN 'parked' THEN 'kept' ELSE n.state END,
           tries = CASE n.state WHEN 'parked' THEN 0 ELSE n.tries END,
           next_try_at = CASE n.state WHEN 'parked' THEN excluded.next_try_at ELSE n.next_try_at END,
           received_on = CASE n.state WHEN 'parked' THEN excluded.received_on ELSE n.received_on END,
           awaits_payment = false
    RETURNING account, livemode, event_id, type, object_id, received_on, (xmax = 0) AS new
), bodies AS (
    INSERT INTO notice_bodies (received_on, account, livemode, event_id, body)
    SELECT $9::date, account, livemode, event_id, body FROM come JOIN kept USING (account, livemode, event_id)
     WHERE received_on = $9::date
    ON CONFLICT DO NOTHING
)
SELECT account, livemode, event_id, type, object_id, new FROM kept;

-- name: quarantine
-- Keep what carried a good signature and was no event, as it came.
INSERT INTO quarantine (id, received_at, reason, body)
SELECT id, $4::timestamptz, reason, body FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS t(id, reason, body);

-- name: take
-- Up to $2 notices that wait to be read at $1, oldest first, with their bodies. Locks the small rows until the
-- transaction ends; those another worker holds are skipped.
WITH due AS (
    SELECT account, livemode, event_id, received_on, tries, type, payment_id
      FROM notices WHERE next_try_at <= $1::timestamptz
     ORDER BY next_try_at, event_id LIMIT $2::int FOR UPDATE SKIP LOCKED
)
SELECT account, livemode, event_id, tries, type, payment_id, b.body
  FROM due LEFT JOIN notice_bodies AS b USING (received_on, account, livemode, event_id);

-- name: take_these
-- The notices named by $1, $2, $3 (account, livemode, event id), with their bodies, where they still wait at $4. Locks the
-- small rows until the transaction ends; those another worker holds are skipped.
WITH due AS (
    SELECT account, livemode, event_id, received_on, tries, type, payment_id
      FROM notices JOIN unnest($1::text[], $2::boolean[], $3::text[]) AS t(account, livemode, event_id)
                   USING (account, livemode, event_id)
     WHERE next_try_at <= $4::timestamptz FOR UPDATE OF notices SKIP LOCKED
)
SELECT account, livemode, event_id, tries, type, payment_id, b.body
  FROM due LEFT JOIN notice_bodies AS b USING (received_on, account, livemode, event_id);

-- name: take_one
-- The notice named by $1, $2, $3 (account, livemode, event id), whatever became of it, with its body. Locks the small row
-- until the transaction ends.
SELECT n.account, n.livemode, n.event_id, n.tries, n.type, n.payment_id, b.body
  FROM notices AS n LEFT JOIN notice_bodies AS b USING (received_on, account, livemode, event_id)
 WHERE n.account = $1::text AND n.livemode = $2::boolean AND n.event_id = $3::text FOR UPDATE OF n;

-- name: put_back
-- Let the notice $1, $2, $3 (account, livemode, event id) be read again from $4 on, whatever became of it, if its body is
-- kept or it is known which payment it is about. Returns whether the body is kept. Locks the row, and until the transaction
-- ends nobody drops the body.
UPDATE notices AS n
   SET state = 'kept', reason = NULL, tries = 0, next_try_at = $4::timestamptz, concluded_at = NULL, awaits_payment = false
  FROM (SELECT EXISTS (
            SELECT FROM notices JOIN notice_bodies AS b USING (received_on, account, livemode, event_id)
             WHERE account = $1::text AND livemode = $2::boolean AND event_id = $3::text) AS kept) AS body
 WHERE n.account = $1::text AND n.livemode = $2::boolean AND n.event_id = $3::text
   AND (body.kept OR n.payment_id IS NOT NULL)
RETURNING body.kept AS body_kept;

-- name: settle
-- Say what became of notices taken in this transaction.
UPDATE notices AS n
   SET state = t.state, reason = t.reason, payment_id = t.payment_id, tries = n.tries + 1, next_try_at = t.next_try_at,
       awaits_payment = t.awaits_payment, concluded_at = CASE WHEN t.state <> 'kept' THEN $9::timestamptz END
  FROM unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::boolean[])
       AS t(account, livemode, event_id, state, reason, payment_id, next_try_at, awaits_payment)
 WHERE n.account = t.account AND n.livemode = t.livemode AND n.event_id = t.event_id;

-- name: backlog
-- How many notices wait, and since when the oldest does. Takes no lock.
SELECT count(*) AS waiting, min(received_at) AS oldest FROM notices WHERE next_try_at IS NOT NULL;

-- name: claim_owned
-- Of up to $3 notices that wait for their payments, behind the payment $1 and event $2 where those are given, let those be
-- read from $4 on whose payment is here by now. Returns how many were looked through and claimed, and the last looked at;
-- nothing where none was behind. Locks those that it claims; rows somebody else holds are skipped.
WITH looked AS MATERIALIZED (
    SELECT account, livemode, event_id, payment_id
      FROM notices
     WHERE state = 'parked' AND awaits_payment
       AND (payment_id, event_id) > (coalesce($1::uuid, '00000000-0000-0000-0000-000000000000'), coalesce($2::text, ''))
     ORDER BY payment_id, event_id LIMIT $3::int
), owned AS (
    SELECT n.account, n.livemode, n.event_id
      FROM notices AS n JOIN looked AS l USING (account, livemode, event_id)
      JOIN payments AS p ON p.id = l.payment_id AND p.livemode = n.livemode
     WHERE n.state = 'parked' AND n.awaits_payment FOR UPDATE OF n SKIP LOCKED
), claimed AS (
    UPDATE notices AS n
       SET state = 'kept', reason = NULL, tries = 0, next_try_at = $4::timestamptz, concluded_at = NULL,
           awaits_payment = false
      FROM owned AS o
     WHERE n.account = o.account AND n.livemode = o.livemode AND n.event_id = o.event_id
    RETURNING n.event_id
)
SELECT payment_id, event_id, (SELECT count(*) FROM looked) AS looked, (SELECT count(*) FROM claimed) AS claimed
  FROM looked ORDER BY payment_id DESC, event_id DESC LIMIT 1;

-- name: parked
-- How many notices are parked for want of their payment, and how many for a person, and since when the oldest of each
-- is here. Takes no lock.
SELECT count(*) FILTER (WHERE awaits_payment) AS for_payment,
       min(received_at) FILTER (WHERE awaits_payment) AS oldest_for_payment,
       count(*) FILTER (WHERE NOT awaits_payment) AS for_person,
       min(received_at) FILTER (WHERE NOT awaits_payment) AS oldest_for_person
  FROM notices WHERE state = 'parked';
