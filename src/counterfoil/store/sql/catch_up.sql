-- How far the processor's list of events was looked through.

-- name: open
-- Have a row for an account ($1, $2), whose first run is due at $3. One that is there stays as it is.
INSERT INTO catch_ups (account, livemode, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: take
-- How far an account ($1, $2) was looked through, where something is due at $3 and the credential $4 is not paused. Locks the
-- row until the transaction ends; one that another process holds is skipped.
SELECT covered_until, asked_since, since, started_at, undelivered, after, missing
  FROM catch_ups
 WHERE account = $1 AND livemode = $2 AND due_at <= $3::timestamptz
   AND NOT EXISTS (SELECT FROM pauses WHERE credential = $4::text)
   FOR UPDATE SKIP LOCKED;

-- name: first_payment
-- When the first payment of the mode $1 was accepted, if there is any. Takes no lock.
SELECT min(created_at) FROM payments WHERE livemode = $1;

-- name: wait
-- Do nothing for an account ($1, $2) until $3. Its row is locked already.
UPDATE catch_ups SET due_at = $3 WHERE account = $1 AND livemode = $2;

-- name: begin
-- Begin a run of an account ($1, $2) at $4 that goes back to $3; what a person asked for is part of it. Its row is locked
-- already.
UPDATE catch_ups
   SET since = $3, started_at = $4, undelivered = true, after = NULL, listed = 0, expected = 0, missing = '{}',
       asked_at = NULL, asked_since = NULL
 WHERE account = $1 AND livemode = $2;

-- name: claim
-- Claim the next page of an account ($1, $2) until $3. Returns the fence. Its row is locked already.
UPDATE catch_ups SET due_at = $3, fence = fence + 1 WHERE account = $1 AND livemode = $2 RETURNING fence;

-- name: hold
-- Whether the fence of an account ($1, $2) is still $3. Locks the row until the transaction ends.
SELECT fence = $3 FROM catch_ups WHERE account = $1 AND livemode = $2 FOR UPDATE;

-- name: known
-- Those of the events $3 of an account ($1, $2) that are kept. Takes no lock.
SELECT event_id FROM notices WHERE account = $1 AND livemode = $2 AND event_id = ANY($3::text[]);

-- name: advance
-- The run of an account ($1, $2) has got to the event $4 ($3: among those that count as undelivered), and has seen $5 more
-- events, $6 of ours, so that $7 were missing by now; the next page is due at $8. Its row is locked already.
UPDATE catch_ups
   SET undelivered = $3, after = $4, listed = listed + $5, expected = expected + $6, missing = $7::jsonb, due_at = $8
 WHERE account = $1 AND livemode = $2;

-- name: finish
-- The run of an account ($1, $2) has ended at $3: what was before it is covered, what it found is its report, and the next
-- one is due at $4, or at once where a person asked for one meanwhile. Its row is locked already.
UPDATE catch_ups
   SET covered_until = greatest(covered_until, started_at), since = NULL, started_at = NULL, undelivered = true, after = NULL,
       due_at = CASE WHEN asked_at IS NULL THEN $4::timestamptz ELSE $3::timestamptz END,
       last_report = jsonb_build_object(
           'since', since, 'started_at', started_at, 'ended_at', $3::timestamptz,
           'listed', listed, 'expected', expected, 'missing', missing)
 WHERE account = $1 AND livemode = $2;

-- name: put_off
-- Let the page of an account ($1, $2) that was claimed under the fence $3 be tried again at $4, and the list from its
-- beginning where $5 says so.
UPDATE catch_ups SET due_at = $4, after = CASE WHEN $5 THEN NULL ELSE after END
 WHERE account = $1 AND livemode = $2 AND fence = $3;

-- name: ask
-- Have a run of an account ($1, $2) that goes back to $4 at least (nothing: no further than it would), asked for at $3: at
-- once, or when the one under way has ended.
INSERT INTO catch_ups AS c (account, livemode, due_at, asked_at, asked_since) VALUES ($1, $2, $3, $3, $4)
ON CONFLICT (account, livemode) DO UPDATE
   SET asked_at = excluded.asked_at, asked_since = least(c.asked_since, excluded.asked_since),
       due_at = CASE WHEN c.since IS NULL THEN least(c.due_at, excluded.due_at) ELSE c.due_at END;

-- name: shown
-- How an account ($1, $2) stands. Takes no lock.
SELECT due_at, covered_until, asked_at, since, started_at, listed, expected, missing, last_report
  FROM catch_ups WHERE account = $1 AND livemode = $2;
