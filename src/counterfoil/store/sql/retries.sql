-- Payments that we try again by ourselves after a decline.

-- name: take_due
-- Take up to $2 payments whose retry is due at $1; nobody else takes them before $3. None while the credential $4 is
-- paused, or a restored database catches up. What a machine drives is its own to try again, unless it has asked for that, rather
-- than for what was declined since, or was due at $5 already.
-- Locks each; rows another process holds are skipped.
WITH due AS (
    SELECT id FROM payments AS p
     WHERE next_check_at <= $1::timestamptz AND retry_at <= $1::timestamptz
       AND NOT EXISTS (SELECT FROM pauses WHERE credential = $4::text)
       AND NOT EXISTS (SELECT FROM restores WHERE finished_at IS NULL)
       AND (retry_at <= $5::timestamptz
            OR NOT EXISTS (SELECT FROM driven_payments AS d WHERE d.payment_id = p.id AND d.given_back_at IS NULL)
            OR EXISTS (SELECT FROM task_tokens AS t
                        WHERE t.payment_id = p.id AND t.step = 'retry' AND t.settled_at IS NULL
                          AND t.attempt > (SELECT count(*) FROM attempts AS a WHERE a.payment_id = p.id)))
     ORDER BY next_check_at LIMIT $2::int FOR UPDATE OF p SKIP LOCKED
)
UPDATE payments AS p SET next_check_at = $3::timestamptz FROM due WHERE p.id = due.id RETURNING p.id;

-- name: queue
-- A further attempt of each of the payments $1, number $2, paid with what the order named, under the key $3, at $6; to be
-- sent by whoever claims it. The payments' rows are locked already.
INSERT INTO attempts (
    payment_id, number, state, payment_method, idempotency_key, request, request_hash, created_at, fence, exposed)
SELECT t.payment_id, t.number, 'queued', p.payment_method, t.idempotency_key, t.request, t.request_hash, $6::timestamptz,
       0, false
  FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bytea[], $5::bytea[])
       AS t(payment_id, number, idempotency_key, request, request_hash)
  JOIN payments AS p ON p.id = t.payment_id;
