-- What else is asked of the processor about a payment it knows.

-- name: latest
-- The last operation of the kind $2 of each of the payments $1, if it has one. The payment's row is what is locked.
SELECT DISTINCT ON (payment_id) payment_id, number, idempotency_key, request, first_sent_at, amount,
       settled_at
  FROM operations WHERE payment_id = ANY($1::uuid[]) AND kind = $2::text ORDER BY payment_id, number DESC;

-- name: claim
-- Put the sending of operations on record and take them for $9 until $10, at $11: new ones, and others again under a
-- higher fence. The payments' rows are locked already.
INSERT INTO operations AS o (
    payment_id, kind, number, attempt, idempotency_key, request, request_hash, amount, claimed_by, claim_expires_at, fence,
    first_sent_at, last_sent_at)
SELECT payment_id, kind, number, attempt, idempotency_key, request, request_hash, amount, $9::text, $10::timestamptz, 1,
       $11::timestamptz, $11::timestamptz
  FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::text[], $6::bytea[], $7::bytea[], $8::bigint[])
       AS t(payment_id, kind, number, attempt, idempotency_key, request, request_hash, amount)
ON CONFLICT (payment_id, kind, number) DO UPDATE
   SET claimed_by = excluded.claimed_by, claim_expires_at = excluded.claim_expires_at, fence = o.fence + 1,
       last_sent_at = excluded.last_sent_at
RETURNING payment_id, fence;

-- name: settle
-- End the claims on operations ($1 payment, $2 kind, $3 number) that are still held under the fence $4; say when a definite
-- answer came, where $5 says that one did, at $6. Returns the payments of those that were still held. The payments' rows
-- are locked already.
UPDATE operations AS o
   SET claimed_by = NULL, claim_expires_at = NULL, settled_at = CASE WHEN t.definite THEN $6::timestamptz END
  FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::boolean[])
       AS t(payment_id, kind, number, fence, definite)
 WHERE o.payment_id = t.payment_id AND o.kind = t.kind AND o.number = t.number AND o.fence = t.fence
RETURNING o.payment_id;
