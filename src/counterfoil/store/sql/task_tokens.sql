-- Task tokens of state machines: taken in, woken, claimed, settled; and which payments a machine drives.

-- name: take_in
-- Put tokens on record at $1 that are not there yet, told by their hashes ($2 id, $3 payment, $4 step, $5 token, $6 hash,
-- $7 execution, $8 attempt, $9 heartbeat in seconds, $10 refusal, $11 when something is to be done); from then on their
-- payments are driven by a machine. Returns the ids of those that are new. Payments' rows are locked already, or new.
WITH new AS (
    INSERT INTO task_tokens (
        id, payment_id, step, token, token_hash, execution, attempt, heartbeat_seconds, refusal, next_try_at, received_at)
    SELECT id, payment_id, step, token, token_hash, execution, attempt, heartbeat_seconds, refusal::jsonb, next_try_at,
           $1::timestamptz
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::int[], $9::int[],
                  $10::text[], $11::timestamptz[])
           AS t(id, payment_id, step, token, token_hash, execution, attempt, heartbeat_seconds, refusal, next_try_at)
     ORDER BY token_hash
    ON CONFLICT (token_hash) DO NOTHING
    RETURNING id, payment_id
), driven AS (
    INSERT INTO driven_payments (payment_id, since)
    SELECT DISTINCT payment_id, $1::timestamptz FROM new WHERE payment_id IS NOT NULL
    ON CONFLICT (payment_id) DO UPDATE SET given_back_at = NULL
)
SELECT id FROM new;

-- name: known_hashes
-- Which of the hashes $1 are on record. Takes no lock.
SELECT token_hash FROM task_tokens WHERE token_hash = ANY($1::bytea[]);

-- name: wake_followers
-- Let the live tokens of the payments $1 that wait for effects be looked at, at $4, if none of these waits any more ($2 step
-- and $3 kind, in pairs, say which) and the payment has ended. Locks each.
UPDATE task_tokens AS t SET next_try_at = $4::timestamptz, woken = true
  FROM payments AS p
 WHERE t.payment_id = ANY($1::uuid[]) AND p.id = t.payment_id AND p.state IN ('succeeded', 'failed', 'canceled')
   AND t.settled_at IS NULL AND t.step = ANY($2::text[]) AND (t.failures = 0 OR t.claimed_by IS NOT NULL)
   AND NOT EXISTS (
       SELECT FROM effects AS e JOIN unnest($2::text[], $3::text[]) AS f(step, kind) ON f.kind = e.kind
        WHERE e.payment_id = t.payment_id AND f.step = t.step AND e.state = 'waiting');

-- name: claim
-- Take up to $2 tokens that are to be answered, or to give a sign of life, at $1, for $3 until $4: the fence rises. Locks
-- each; rows another process holds are skipped.
WITH due AS (
    SELECT id FROM task_tokens
     WHERE next_try_at <= $1::timestamptz AND (claim_expires_at IS NULL OR claim_expires_at <= $1::timestamptz)
     ORDER BY next_try_at LIMIT $2::int FOR UPDATE SKIP LOCKED
)
UPDATE task_tokens AS t
   SET claimed_by = $3::text, claim_expires_at = $4::timestamptz, fence = t.fence + 1, woken = false
  FROM due WHERE t.id = due.id
RETURNING t.id, t.payment_id, t.step, t.token, t.execution, t.attempt, t.heartbeat_seconds, t.refusal, t.failures, t.fence;

-- name: settle
-- Say how tokens $1 that are still held under the fence $2 stand at $7 ($3 outcome, $4 reason, $5 next try, $6 failures in a
-- row); what has ended forgets its text, and what was woken since it was claimed is looked at again at once. Returns those
-- that were still held. Locks each.
UPDATE task_tokens AS t
   SET outcome = r.outcome, reason = r.reason, failures = r.failures, claimed_by = NULL, claim_expires_at = NULL,
       token = CASE WHEN r.outcome IS NULL THEN t.token END,
       settled_at = CASE WHEN r.outcome IS NOT NULL THEN $7::timestamptz END,
       next_try_at = CASE WHEN r.outcome IS NOT NULL THEN NULL WHEN t.woken THEN t.next_try_at ELSE r.next_try_at END
  FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::int[])
       AS r(id, fence, outcome, reason, next_try_at, failures)
 WHERE t.id = r.id AND t.fence = r.fence AND t.settled_at IS NULL
RETURNING t.id;

-- name: give_back
-- Give those of the payments $1 that no live token is there for back to the workers, at $2. Returns them. Locks each.
UPDATE driven_payments AS d SET given_back_at = $2::timestamptz
 WHERE d.payment_id = ANY($1::uuid[]) AND d.given_back_at IS NULL
   AND NOT EXISTS (SELECT FROM task_tokens AS t WHERE t.payment_id = d.payment_id AND t.settled_at IS NULL)
RETURNING d.payment_id;

-- name: driving
-- How the machine of the payment $1 stands to it: since when, and since when no more. Takes no lock.
SELECT since, given_back_at FROM driven_payments WHERE payment_id = $1::uuid;

-- name: tokens_of
-- The tokens of the payment $1 in the order they came, without their text. Takes no lock.
SELECT step, execution, received_at, settled_at, outcome, reason FROM task_tokens
 WHERE payment_id = $1::uuid ORDER BY received_at, id;

-- name: waiting
-- How many tokens live, and since when the oldest of them does that nothing but an answer keeps; and how many are parked. Takes
-- no lock.
SELECT count(*) AS alive, (SELECT count(*) FROM task_tokens WHERE outcome = 'parked') AS parked,
       min(received_at) AS oldest
  FROM task_tokens WHERE settled_at IS NULL;
