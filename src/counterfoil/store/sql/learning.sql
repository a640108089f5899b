-- What is known late of a payment that succeeded: its fee. When it is asked for, and what was learned.

-- name: ask_soon
-- Those of the payments $1 that succeeded are asked about at $2. Their rows are locked already.
UPDATE payments SET learn_at = $2::timestamptz WHERE id = ANY($1::uuid[]) AND state = 'succeeded';

-- name: claim_due
-- Take up to $2 payments that succeeded and are to be asked about at $1; nobody else takes them before $3. None while the
-- credential $4 is paused. Locks each; rows another process holds are skipped.
WITH due AS (
    SELECT p.id, a.charge_id
      FROM payments AS p JOIN attempts AS a ON a.payment_id = p.id AND a.state = 'captured' AND a.charge_id IS NOT NULL
     WHERE p.learn_at <= $1::timestamptz AND p.state = 'succeeded'
       AND NOT EXISTS (SELECT FROM pauses WHERE credential = $4::text)
     ORDER BY p.learn_at LIMIT $2::int FOR UPDATE OF p SKIP LOCKED
)
UPDATE payments AS p SET learn_at = $3::timestamptz FROM due WHERE p.id = due.id
RETURNING p.id, due.charge_id, p.learn_tries;

-- name: record
-- Payments that were asked about: the fee where it is known, which never changes again, how the processor calls its answer,
-- and when to ask again, unless a hint came since they were taken until $6. $7 is the time. The rows are locked already.
UPDATE payments AS p
   SET fee = coalesce(p.fee, t.fee), fee_currency = coalesce(p.fee_currency, t.fee_currency),
       fee_known_at = CASE WHEN p.fee IS NULL AND t.fee IS NOT NULL THEN $7::timestamptz ELSE p.fee_known_at END,
       fee_reference = CASE WHEN p.fee IS NULL AND t.fee IS NOT NULL THEN t.reference ELSE p.fee_reference END,
       learn_at = CASE WHEN p.learn_at = t.claimed_until THEN t.next_at ELSE p.learn_at END,
       learn_tries = p.learn_tries + 1,
       updated_at = CASE WHEN p.fee IS NULL AND t.fee IS NOT NULL THEN $7::timestamptz ELSE p.updated_at END
  FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
       AS t(id, fee, fee_currency, reference, next_at, claimed_until)
 WHERE p.id = t.id;
