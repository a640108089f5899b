-- Fraud checks, and who tried how often.

-- name: expect
-- Wait for whoever keeps a check of a payment that is not here, and let nobody begin until the transaction ends: then no
-- check can be kept between our look at what was kept and the payment's commit. A shared advisory lock.
SELECT pg_advisory_xact_lock_shared(hashtext('counterfoil fraud checks'));

-- name: overtake
-- Wait for all who accept payments under `expect`, and let none begin until the transaction ends: a payment that is still
-- not here will find what is kept now. An exclusive advisory lock.
SELECT pg_advisory_xact_lock(hashtext('counterfoil fraud checks'));

-- name: keep
-- Keep a check of each of the payments $1, known or not. The first that decides stays; until then the last one does.
-- Locks the rows that are there.
INSERT INTO fraud_checks AS f (payment_id, decision, risk_score, source, reference, note, received_at, grounds)
SELECT payment_id, decision, risk_score, source, reference, note, $8::timestamptz, grounds::jsonb
  FROM unnest($1::uuid[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::text[])
       AS t(payment_id, decision, risk_score, source, reference, note, grounds)
 ORDER BY payment_id
ON CONFLICT (payment_id) DO UPDATE
   SET decision = excluded.decision, risk_score = coalesce(excluded.risk_score, f.risk_score), source = excluded.source,
       reference = excluded.reference, note = excluded.note, received_at = excluded.received_at,
       grounds = coalesce(excluded.grounds, f.grounds)
 WHERE f.decision = 'MANUAL_REVIEW';

-- name: kept
-- The checks kept of the payments $1. Takes no lock.
SELECT payment_id, decision, risk_score, source, reference, note FROM fraud_checks WHERE payment_id = ANY($1::uuid[]);

-- name: lock_undecided
-- Up to $2 payments on which somebody was to decide by $1. Locks each; rows another process holds are skipped.
SELECT id FROM payments WHERE screening AND decide_by <= $1::timestamptz
 ORDER BY decide_by LIMIT $2::int FOR UPDATE SKIP LOCKED;

-- name: tried
-- How often each of the customers $1 tried since $2, and when first; attempts refused with the code $3 were no tries. A
-- payment that was not touched since then has no such attempt, so that a long history costs little. Takes no lock.
SELECT p.customer_id, count(*)::int AS attempts, min(a.created_at) AS first_at
  FROM payments AS p JOIN attempts AS a ON a.payment_id = p.id
 WHERE p.customer_id = ANY($1::text[]) AND p.updated_at > $2::timestamptz AND a.created_at > $2::timestamptz
   AND a.decline_code IS DISTINCT FROM $3::text
 GROUP BY p.customer_id;

-- name: under_review
-- How many payments wait for a person. Takes no lock.
SELECT count(*)::int FROM payments WHERE reviewing AND next_check_at IS NOT NULL;
