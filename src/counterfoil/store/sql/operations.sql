-- What else is asked of the processor about a payment it knows.

-- name: latest
-- The last cancellation of each of the payments $1, if it has one. The payment's row is what is locked.
SELECT DISTINCT ON (payment_id) payment_id, number, idempotency_key, request, first_sent_at,
       settled_at
  FROM operations WHERE payment_id = ANY($1::uuid[]) AND kind = 'cancel' ORDER BY payment_id, number DESC;

-- name: claim
-- Put the sending of cancellations on record and take them for $7 until $8, at $9: new ones, and others again under a
-- higher fence. The payments' rows are locked already.
INSERT INTO operations AS o (
    payment_id, kind, number, attempt, idempotency_key, request, request_hash, claimed_by, claim_expires_at, fence,
    first_sent_at, last_sent_at)
SELECT payment_id, 'cancel', number, attempt, idempotency_key, request, request_hash, $7::text, $8::timestamptz, 1,
       $9::timestamptz, $9::timestamptz
  FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::bytea[], $6::bytea[])
       AS t(payment_id, number, attempt, idempotency_key, request, request_hash)
ON CONFLICT (payment_id, kind, number) DO UPDATE
   SET claimed_by = excluded.claimed_by, claim_expires_at = excluded.claim_expires_at, fence = o.fence + 1,
       last_sent_at = excluded.last_sent_at
RETURNING payment_id, fence;

-- name: settle
-- End the claims on cancellations ($1 payment, $2 number) that are still held under the fence $3; say when a definite answer
-- came, where $4 says that one did, at $5. Returns the payments of those that were still held. The payments' rows are
-- locked already.
UPDATE operations AS o
   SET claimed_by = NULL, claim_expires_at = NULL, settled_at = CASE WHEN t.definite THEN $5::timestamptz END
  FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::boolean[]) AS t(payment_id, number, fence, definite)
 WHERE o.payment_id = t.payment_id AND o.kind = 'cancel' AND o.number = t.number AND o.fence = t.fence
RETURNING o.payment_id;
