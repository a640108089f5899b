-- Refunds. A refund changes only under the lock of its payment's row, but for being claimed, which changes nothing of either.

-- name: insert
-- New refunds, at $13: asked for, or made elsewhere. One that fulfils a wish which is not on record has its key, unless
-- another refund has that. The payments' rows are locked already.
INSERT INTO refunds (
    id, payment_id, amount, currency, reason, state, processor_id, failure_reason, settling, checks, next_check_at,
    request_key, created_at, updated_at)
SELECT id, payment_id, amount, currency, reason, state, processor_id, failure_reason, settling, checks, next_check_at,
       CASE WHEN NOT EXISTS (SELECT FROM refunds AS r WHERE r.payment_id = t.payment_id AND r.request_key = t.request_key)
                 AND row_number() OVER (PARTITION BY payment_id, request_key ORDER BY id) = 1 THEN request_key END,
       $13::timestamptz, $13::timestamptz
  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::text[], $10::int[], $11::timestamptz[], $12::text[])
       AS t(id, payment_id, amount, currency, reason, state, processor_id, failure_reason, settling, checks,
            next_check_at, request_key);

-- name: key
-- Put on record under which key $2 the refund $1 was asked for, and what for, $3. The payment's row is locked already.
UPDATE refunds SET request_key = $2::text, fingerprint = $3::bytea WHERE id = $1::uuid;

-- name: by_request
-- The refund of the payment $1 that was asked for under the key $2, if there is one. Takes no lock.
SELECT id, fingerprint FROM refunds WHERE payment_id = $1::uuid AND request_key = $2::text;

-- name: take_due
-- Up to $2 refunds that are to be sent at $1, first or again, under a key that was first sent after $3, with what the
-- processor has to be told of each; none while the credential $4 is paused, or a restored database catches up. Locks each
-- refund until the transaction ends; those another process holds are skipped.
SELECT r.id, r.payment_id, p.order_id, p.event_id, p.intent_id, r.amount, r.reason, r.idempotency_key, r.request,
       r.request_key, r.first_sent_at,
       (SELECT charge_id FROM attempts AS a WHERE a.payment_id = p.id AND a.state = 'captured' ORDER BY number LIMIT 1)
           AS charge_id
  FROM refunds AS r JOIN payments AS p ON p.id = r.payment_id
 WHERE r.next_check_at <= $1::timestamptz AND r.state = 'requested' AND r.settling IN ('resend', 'retry')
   AND (r.first_sent_at IS NULL OR r.first_sent_at > $3::timestamptz)
   AND NOT EXISTS (SELECT FROM pauses WHERE credential = $4::text)
   AND NOT EXISTS (SELECT FROM restores WHERE finished_at IS NULL)
 ORDER BY r.next_check_at, r.id LIMIT $2::int FOR UPDATE OF r SKIP LOCKED;

-- name: claim
-- Take the refunds $1 for $5 until $6, at $7, with the key $2 and the request $3 (its hash is $4) that go with each: the
-- fence rises, the time of sending is on record. They are locked already (`take_due`).
UPDATE refunds AS r
   SET idempotency_key = t.key, request = t.request, request_hash = t.hash, claimed_by = $5::text,
       claim_expires_at = $6::timestamptz, next_check_at = $6::timestamptz, fence = r.fence + 1,
       first_sent_at = coalesce(r.first_sent_at, $7::timestamptz), last_sent_at = $7::timestamptz
  FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) AS t(id, key, request, hash)
 WHERE r.id = t.id
RETURNING r.id, r.fence;

-- name: of_payments
-- All refunds of the payments $1. Locks each, in the order of their ids, so that none is claimed meanwhile;
-- the payments' rows are locked already.
SELECT id, payment_id, amount, currency, reason, state, processor_id, failure_reason, first_sent_at, last_sent_at, settling,
       absent_since, may_appear_until, checks, next_check_at, fence
  FROM refunds WHERE payment_id = ANY($1::uuid[]) ORDER BY payment_id, id FOR UPDATE;

-- name: by_id
-- The refunds $1. Locks each; the payments' rows are locked already.
SELECT id, payment_id, amount, currency, reason, state, processor_id, failure_reason, first_sent_at, last_sent_at, settling,
       absent_since, may_appear_until, checks, next_check_at, fence
  FROM refunds WHERE id = ANY($1::uuid[]) ORDER BY payment_id, id FOR UPDATE;

-- name: write
-- Write refunds that were heard of, at $11; the claims on them end. The payments' rows are locked already.
UPDATE refunds AS r
   SET state = t.state, processor_id = t.processor_id, failure_reason = t.failure_reason, first_sent_at = t.first_sent_at,
       settling = t.settling, absent_since = t.absent_since, may_appear_until = t.may_appear_until, checks = t.checks,
       next_check_at = t.next_check_at, claimed_by = NULL, claim_expires_at = NULL,
       updated_at = CASE WHEN r.state = t.state THEN r.updated_at ELSE $11::timestamptz END
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::timestamptz[],
              $8::timestamptz[], $9::int[], $10::timestamptz[])
       AS t(id, state, processor_id, failure_reason, first_sent_at, settling, absent_since, may_appear_until, checks,
            next_check_at)
 WHERE r.id = t.id;

-- name: look_soon
-- Let the refunds of the payments $1 be asked for at $2. Locks their rows.
UPDATE payments SET refunds_due_at = $2::timestamptz WHERE id = ANY($1::uuid[]);

-- name: claim_to_look
-- Take up to $2 paid payments whose refunds are to be asked for at $1: something hinted at news, or only the processor can
-- tell of one of them. Nobody else takes them before $3. $4 is the deadline of keys; none while the credential $5 is
-- paused. Locks each; rows another process holds are skipped.
WITH wanted AS (
    SELECT id FROM payments WHERE refunds_due_at <= $1::timestamptz AND state = 'succeeded'
    UNION
    SELECT payment_id FROM refunds
     WHERE next_check_at <= $1::timestamptz
       AND NOT (state = 'requested' AND settling IN ('resend', 'retry')
                AND (first_sent_at IS NULL OR first_sent_at > $4::timestamptz))
), due AS (
    SELECT p.id FROM payments AS p JOIN wanted USING (id)
     WHERE p.state = 'succeeded' AND NOT EXISTS (SELECT FROM pauses WHERE credential = $5::text)
     ORDER BY p.id LIMIT $2::int FOR UPDATE OF p SKIP LOCKED
), waiting AS (
    UPDATE refunds AS r SET next_check_at = $3::timestamptz
      FROM due
     WHERE r.payment_id = due.id AND r.next_check_at <= $1::timestamptz
       AND NOT (r.state = 'requested' AND r.settling IN ('resend', 'retry')
                AND (r.first_sent_at IS NULL OR r.first_sent_at > $4::timestamptz))
)
UPDATE payments AS p SET refunds_due_at = $3::timestamptz
  FROM due
 WHERE p.id = due.id
RETURNING p.id, p.intent_id,
          (SELECT charge_id FROM attempts AS a WHERE a.payment_id = p.id AND a.state = 'captured' ORDER BY number LIMIT 1)
              AS charge_id;

-- name: looked
-- The refunds of the payments $1 were asked for under the claims that end at $2; what hinted since then waits on. Their
-- rows are locked already.
UPDATE payments AS p SET refunds_due_at = NULL
  FROM unnest($1::uuid[], $2::timestamptz[]) AS t(id, until)
 WHERE p.id = t.id AND p.refunds_due_at = t.until;

-- name: views_of_payments
-- The refunds of the payments $1 as the API shows them, in the order in which they were asked for. Takes no lock.
SELECT id, payment_id, amount, currency, state, reason, failure_reason, processor_id, created_at, updated_at
  FROM refunds WHERE payment_id = ANY($1::uuid[]) ORDER BY payment_id, created_at, id;

-- name: views
-- The refunds $1 as the API shows them. Takes no lock.
SELECT id, payment_id, amount, currency, state, reason, failure_reason, processor_id, created_at, updated_at
  FROM refunds WHERE id = ANY($1::uuid[]);

-- name: open_refunds
-- How many refunds are not given back yet, by state, and since when the oldest of each is asked for. Takes no lock.
SELECT state, count(*) AS waiting, min(created_at) AS oldest FROM refunds WHERE next_check_at IS NOT NULL GROUP BY state;
