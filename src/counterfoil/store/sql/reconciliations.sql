-- Both books compared: which comparison has got how far, what it has seen, and what differs.

-- name: ask
-- A new comparison $1, asked for by $2 at $3, of what was made from $4 to $5; $6 is the night it is of, NULL where a person
-- asked. Returns it, but where that night has one already.
INSERT INTO reconciliations (id, asked_by, asked_at, since, until, night, stage, next_at)
VALUES ($1::uuid, $2::text, $3::timestamptz, $4::timestamptz, $5::timestamptz, $6::date, 'intent', $3::timestamptz)
ON CONFLICT (night) DO NOTHING RETURNING id;

-- name: is_anything_older
-- Whether there was a payment before $1. Takes no lock.
SELECT EXISTS (SELECT FROM payments WHERE created_at < $1::timestamptz);

-- name: claim
-- Take the next page of the comparison that was asked for first, where its time has come at $1 and nobody is at it, for $2
-- until $3; none while the credential $4 is paused. The fence rises. Locks it.
WITH first AS (
    SELECT id FROM reconciliations WHERE finished_at IS NULL ORDER BY asked_at, id LIMIT 1 FOR UPDATE
)
UPDATE reconciliations AS r
   SET claimed_by = $2::text, claim_expires_at = $3::timestamptz, fence = r.fence + 1,
       started_at = coalesce(r.started_at, $1::timestamptz)
  FROM first
 WHERE r.id = first.id AND r.next_at <= $1::timestamptz
   AND (r.claim_expires_at IS NULL OR r.claim_expires_at <= $1::timestamptz)
   AND NOT EXISTS (SELECT FROM pauses WHERE credential = $4::text)
RETURNING r.id, r.stage, r.behind, r.since, r.until, r.fence;

-- name: hold
-- Whether the comparison $1 is still held under the fence $2. Locks it until the transaction ends.
SELECT true FROM reconciliations WHERE id = $1::uuid AND fence = $2::bigint FOR UPDATE;

-- name: move_on
-- The comparison $1, which is locked, goes on at $2 behind $3, not before $4; so many more foreign things ($5) were seen and
-- so many more payments ($6) compared, back to $7. $8 is when it ended, if it did. The claim ends.
UPDATE reconciliations
   SET stage = $2::text, behind = $3::text, next_at = $4::timestamptz, foreign_things = foreign_things + $5::bigint,
       compared = compared + $6::bigint, reached = $7::timestamptz, finished_at = $8::timestamptz,
       claimed_by = NULL, claim_expires_at = NULL
 WHERE id = $1::uuid;

-- name: postpone
-- End the claim with the fence $2 on the comparison $1; the same page is asked for again at $3. Locks it.
UPDATE reconciliations SET claimed_by = NULL, claim_expires_at = NULL, next_at = $3::timestamptz
 WHERE id = $1::uuid AND fence = $2::bigint;

-- name: mark
-- The comparison $1 has seen those of the payments $2 that are here. Returns those it had not seen before.
INSERT INTO reconciled (reconciliation_id, payment_id)
SELECT $1::uuid, id FROM payments WHERE id = ANY($2::uuid[]) ORDER BY id
ON CONFLICT DO NOTHING RETURNING payment_id;

-- name: unseen
-- Up to $6 payments, by when they were made and behind ($4, $5), that the processor has a name for and the comparison $1 has
-- not seen: made from $2 to $3, or older and open, or given back, or disputed, in that time. Takes no lock.
SELECT id, intent_id, created_at FROM (
    (SELECT p.id, p.intent_id, p.created_at FROM payments AS p
      WHERE p.created_at >= $2::timestamptz AND p.created_at <= $3::timestamptz AND p.intent_id IS NOT NULL
        AND (p.created_at, p.id) > ($4::timestamptz, $5::uuid)
        AND NOT EXISTS (SELECT FROM reconciled AS s WHERE s.reconciliation_id = $1::uuid AND s.payment_id = p.id)
      ORDER BY p.created_at, p.id LIMIT $6::int)
    UNION
    (SELECT p.id, p.intent_id, p.created_at FROM payments AS p
      WHERE p.next_check_at IS NOT NULL AND p.created_at < $2::timestamptz AND p.intent_id IS NOT NULL
        AND (p.created_at, p.id) > ($4::timestamptz, $5::uuid)
        AND NOT EXISTS (SELECT FROM reconciled AS s WHERE s.reconciliation_id = $1::uuid AND s.payment_id = p.id)
      ORDER BY p.created_at, p.id LIMIT $6::int)
    UNION
    (SELECT p.id, p.intent_id, p.created_at FROM refunds AS r JOIN payments AS p ON p.id = r.payment_id
      WHERE r.created_at >= $2::timestamptz AND r.created_at <= $3::timestamptz AND p.created_at < $2::timestamptz
        AND p.intent_id IS NOT NULL AND (p.created_at, p.id) > ($4::timestamptz, $5::uuid)
        AND NOT EXISTS (SELECT FROM reconciled AS s WHERE s.reconciliation_id = $1::uuid AND s.payment_id = p.id)
      ORDER BY p.created_at, p.id LIMIT $6::int)
    UNION
    (SELECT p.id, p.intent_id, p.created_at FROM disputes AS d JOIN payments AS p ON p.id = d.payment_id
      WHERE d.opened_at >= $2::timestamptz AND d.opened_at <= $3::timestamptz AND p.created_at < $2::timestamptz
        AND p.intent_id IS NOT NULL AND (p.created_at, p.id) > ($4::timestamptz, $5::uuid)
        AND NOT EXISTS (SELECT FROM reconciled AS s WHERE s.reconciliation_id = $1::uuid AND s.payment_id = p.id)
      ORDER BY p.created_at, p.id LIMIT $6::int)
) AS found
 ORDER BY created_at, id LIMIT $6::int;

-- name: put
-- Differences that the comparison $1 suspects at $11, each to be compared again at $12. One that it has already stays.
INSERT INTO differences (
    id, reconciliation_id, subject, verdict, resource, reference, payment_id, ours, theirs, remedy, state, found_at,
    next_try_at)
SELECT id, $1::uuid, subject, verdict, resource, reference, payment_id, ours, theirs, remedy, 'suspected',
       $11::timestamptz, $12::timestamptz
  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[], $10::text[])
       AS t(id, subject, verdict, resource, reference, payment_id, ours, theirs, remedy)
ON CONFLICT (reconciliation_id, subject, resource, reference) DO NOTHING;

-- name: due
-- Up to $3 differences of the comparison $1 that are to be compared again at $2. Its row is what is locked, if anything.
SELECT id, subject, verdict, resource, reference, payment_id, ours, theirs, remedy, tries
  FROM differences WHERE reconciliation_id = $1::uuid AND next_try_at <= $2::timestamptz ORDER BY next_try_at, id LIMIT $3::int;

-- name: next_try
-- When the next difference of the comparison $1 is to be compared again, if any is. Takes no lock.
SELECT min(next_try_at) FROM differences WHERE reconciliation_id = $1::uuid AND next_try_at IS NOT NULL;

-- name: compared
-- Differences as they stand after being compared again: $1 which, $2 the verdict, $3 ours, $4 theirs, $5 the remedy, $6 the
-- state, $7 when next, $8 when it ended. Their comparison is locked already.
UPDATE differences AS d
   SET verdict = t.verdict, ours = t.ours, theirs = t.theirs, remedy = t.remedy, state = t.state, tries = d.tries + 1,
       next_try_at = t.next_try_at, ended_at = t.ended_at
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
       AS t(id, verdict, ours, theirs, remedy, state, next_try_at, ended_at)
 WHERE d.id = t.id;

-- name: forget
-- Up to $2 of the payments that the comparison $1 has seen need not be known any more. Returns one for each.
DELETE FROM reconciled
 WHERE ctid = ANY(ARRAY(SELECT ctid FROM reconciled WHERE reconciliation_id = $1::uuid LIMIT $2::int))
RETURNING payment_id;

-- name: views
-- Comparisons, the newest first, up to $2 of them behind $1 where that is given; each with how many differences it has, by
-- state. Takes no lock.
SELECT r.id, r.asked_by, r.asked_at, r.since, r.until, r.stage, r.reached, r.compared, r.foreign_things, r.started_at,
       r.finished_at,
       count(d.id) FILTER (WHERE d.state = 'suspected') AS suspected,
       count(d.id) FILTER (WHERE d.state = 'settled') AS settled,
       count(d.id) FILTER (WHERE d.state = 'left') AS differing,
       count(d.id) FILTER (WHERE d.state = 'acknowledged') AS acknowledged
  FROM (SELECT * FROM reconciliations WHERE $1::uuid IS NULL OR id < $1::uuid ORDER BY id DESC LIMIT $2::int) AS r
  LEFT JOIN differences AS d ON d.reconciliation_id = r.id
 GROUP BY r.id, r.asked_by, r.asked_at, r.since, r.until, r.stage, r.reached, r.compared, r.foreign_things, r.started_at,
          r.finished_at
 ORDER BY r.id DESC;

-- name: view
-- The comparison $1, as above. Takes no lock.
SELECT r.id, r.asked_by, r.asked_at, r.since, r.until, r.stage, r.reached, r.compared, r.foreign_things, r.started_at,
       r.finished_at,
       (SELECT count(*) FROM differences WHERE reconciliation_id = r.id AND state = 'suspected') AS suspected,
       (SELECT count(*) FROM differences WHERE reconciliation_id = r.id AND state = 'settled') AS settled,
       (SELECT count(*) FROM differences WHERE reconciliation_id = r.id AND state = 'left') AS differing,
       (SELECT count(*) FROM differences WHERE reconciliation_id = r.id AND state = 'acknowledged') AS acknowledged
  FROM reconciliations AS r WHERE r.id = $1::uuid;

-- name: differences
-- Up to $4 differences of the comparison $1, of the state $2 and behind $3 where those are given. Takes no lock.
SELECT id, reconciliation_id, subject, verdict, resource, reference, payment_id, ours, theirs, remedy, state, found_at,
       ended_at, acknowledged_by, note
  FROM differences
 WHERE reconciliation_id = $1::uuid AND ($2::text IS NULL OR state = $2::text) AND ($3::uuid IS NULL OR id > $3::uuid)
 ORDER BY id LIMIT $4::int;

-- name: acknowledge
-- Somebody, $2, has seen to the difference $1, which is left, and says $3, at $4. Returns it where it was left.
UPDATE differences SET state = 'acknowledged', acknowledged_by = $2::text, note = $3::text, ended_at = $4::timestamptz
 WHERE id = $1::uuid AND state = 'left'
RETURNING id, reconciliation_id, subject, verdict, resource, reference, payment_id, ours, theirs, remedy, state, found_at,
          ended_at, acknowledged_by, note;

-- name: state_of
-- How the difference $1 stands, if there is one. Takes no lock.
SELECT state FROM differences WHERE id = $1::uuid;

-- name: last_finished
-- When the comparison that finished last was asked for, and which. Takes no lock.
SELECT id, asked_at FROM reconciliations WHERE finished_at IS NOT NULL ORDER BY asked_at DESC LIMIT 1;

-- name: count_left
-- How many differences of the comparison $1 are left, by verdict. Takes no lock.
SELECT verdict, count(*) AS differing
  FROM differences WHERE reconciliation_id = $1::uuid AND state = 'left' GROUP BY verdict;
