-- What follows from a payment's end: begun with it, claimed, ended.

-- name: wherewith
-- What the effects of the payments $1 need, and which there are already. The payments' rows are locked already.
SELECT id, customer_email IS NOT NULL AS has_address, items,
       ARRAY(SELECT kind FROM effects WHERE payment_id = p.id) AS begun,
       EXISTS (SELECT FROM driven_payments WHERE payment_id = p.id AND given_back_at IS NULL) AS driven
  FROM payments AS p WHERE id = ANY($1::uuid[]);

-- name: begin
-- Put effects on record ($1 payment, $2 kind, $3 state, $4 reason, $6 when those that wait are due) at $5. The payments'
-- rows are locked already, so none of them is there yet.
INSERT INTO effects (payment_id, kind, state, reason, next_try_at, created_at, ended_at)
SELECT payment_id, kind, state, reason, CASE WHEN state = 'waiting' THEN next_try_at END, $5::timestamptz,
       CASE WHEN state <> 'waiting' THEN $5::timestamptz END
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $6::timestamptz[])
       AS t(payment_id, kind, state, reason, next_try_at);

-- name: call_for
-- Let the effects of the kind $2 of the payment $1, in pairs, be due at $3, if they wait for nothing but their first try.
-- Locks each.
UPDATE effects AS e SET next_try_at = $3::timestamptz
  FROM unnest($1::uuid[], $2::text[]) AS t(payment_id, kind)
 WHERE e.payment_id = t.payment_id AND e.kind = t.kind AND e.state = 'waiting' AND e.tries = 0
   AND e.next_try_at > $3::timestamptz;

-- name: call_for_all
-- The same for all effects of the payments $1, at $2.
UPDATE effects SET next_try_at = $2::timestamptz
 WHERE payment_id = ANY($1::uuid[]) AND state = 'waiting' AND tries = 0 AND next_try_at > $2::timestamptz;

-- name: standing
-- How the effects of the payments $1 stand. Takes no lock.
SELECT payment_id, kind, state, reason FROM effects WHERE payment_id = ANY($1::uuid[]);

-- name: claim
-- Take up to $2 effects that are due at $1 for $3 until $4: the fence rises, the try is counted. Those of a payment that is
-- open again wait for its end, and stock is taken out only once it was let go, where that is to be said as well. Locks each; rows
-- another process holds are skipped.
WITH due AS (
    SELECT e.payment_id, e.kind FROM effects AS e JOIN payments AS p ON p.id = e.payment_id
     WHERE e.next_try_at <= $1::timestamptz AND p.state IN ('succeeded', 'failed', 'canceled')
       AND (e.claim_expires_at IS NULL OR e.claim_expires_at <= $1::timestamptz)
       AND NOT (e.kind = 'stock_decrement' AND EXISTS (
           SELECT FROM effects AS r
            WHERE r.payment_id = e.payment_id AND r.kind = 'stock_release' AND r.state = 'waiting'))
     ORDER BY e.next_try_at LIMIT $2::int FOR UPDATE OF e SKIP LOCKED
)
UPDATE effects AS e
   SET claimed_by = $3::text, claim_expires_at = $4::timestamptz, fence = e.fence + 1, tries = e.tries + 1
  FROM due JOIN payments AS p ON p.id = due.payment_id
 WHERE e.payment_id = due.payment_id AND e.kind = due.kind
RETURNING e.payment_id, e.kind, e.tries, e.fence, e.created_at, p.state, p.order_id, p.amount, p.amount_captured, p.currency,
          p.items, p.customer_email, p.locale,
          (SELECT a.decline_can_retry FROM attempts AS a WHERE a.payment_id = p.id ORDER BY a.number DESC LIMIT 1)
              AS can_retry;

-- name: settle
-- Say how effects ($1 payment, $2 kind) that are still held under the fence $3 stand now ($4 state, $5 reason, $6 next
-- try), at $7. Returns those that were still held. Locks each.
UPDATE effects AS e
   SET state = t.state, reason = t.reason, next_try_at = t.next_try_at, claimed_by = NULL, claim_expires_at = NULL,
       ended_at = CASE WHEN t.state <> 'waiting' THEN $7::timestamptz END
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
       AS t(payment_id, kind, fence, state, reason, next_try_at)
 WHERE e.payment_id = t.payment_id AND e.kind = t.kind AND e.fence = t.fence AND e.state = 'waiting'
RETURNING e.payment_id, e.kind;

-- name: replay
-- Let the effect $2 of the payment $1, if it is parked, be tried anew from $3 on. Locks it.
UPDATE effects SET state = 'waiting', reason = NULL, tries = 0, next_try_at = $3::timestamptz, ended_at = NULL
 WHERE payment_id = $1::uuid AND kind = $2::text AND state = 'parked'
RETURNING payment_id, kind, state, reason, tries, next_try_at, created_at, ended_at;

-- name: drop
-- Let the effect $2 of the payment $1, if it is parked, be no more; its reason stays. Ended at $3. Locks it.
UPDATE effects SET state = 'dropped', ended_at = $3::timestamptz
 WHERE payment_id = $1::uuid AND kind = $2::text AND state = 'parked'
RETURNING payment_id, kind, state, reason, tries, next_try_at, created_at, ended_at;

-- name: effects_of
-- The effects of the payment $1, in the order they began. Takes no lock.
SELECT payment_id, kind, state, reason, tries, next_try_at, created_at, ended_at
  FROM effects WHERE payment_id = $1::uuid ORDER BY created_at, kind;

-- name: parked
-- Up to $3 parked effects behind the payment $1 and kind $2, where those are given. Takes no lock.
SELECT payment_id, kind, state, reason, tries, next_try_at, created_at, ended_at
  FROM effects
 WHERE state = 'parked' AND ($1::uuid IS NULL OR (payment_id, kind) > ($1::uuid, $2::text))
 ORDER BY payment_id, kind LIMIT $3::int;

-- name: count_parked
-- How many effects wait for a person. Takes no lock.
SELECT count(*) FROM effects WHERE state = 'parked';

-- name: way_back
-- How the payment $1 stands for its customer: whether another method may help, and where they come from. Takes no lock.
SELECT state, order_id, return_url,
       (SELECT a.decline_can_retry FROM attempts AS a WHERE a.payment_id = p.id ORDER BY a.number DESC LIMIT 1)
           AS can_retry
  FROM payments AS p WHERE id = $1::uuid;
