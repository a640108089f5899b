-- A database that was put back to an earlier moment, until it has caught up with what it has forgotten.

-- name: current
-- The restore that is not finished, if there is one. Takes no lock.
SELECT id, reason, began_at, known_until FROM restores WHERE finished_at IS NULL;

-- name: known_until
-- When anything was last put on record here; 1970 where nothing ever was. Takes no lock.
SELECT coalesce(
    greatest((SELECT max(updated_at) FROM payments), (SELECT max(received_at) FROM notices), (SELECT max(updated_at) FROM refunds)),
    'epoch'::timestamptz);

-- name: begin
-- Nothing is sent from $3 on, because of $2; the database knows what was until $4. Returns it, but where one is under way.
INSERT INTO restores (id, reason, began_at, known_until)
VALUES ($1::uuid, $2::text, $3::timestamptz, $4::timestamptz)
ON CONFLICT DO NOTHING RETURNING id;

-- name: skip_positions
-- Whatever is published from now on stands $1 positions farther on: who follows the facts may have read beyond the last one
-- that is on record here. Takes no lock; a position that was drawn is never drawn again.
SELECT setval(sequence, nextval(sequence) + $1::bigint)
  FROM pg_get_serial_sequence('positions', 'position') AS sequence;

-- name: senders
-- Which of our processes that send have a session in this database right now. Takes no lock.
SELECT DISTINCT application_name FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = ANY($1::text[]) ORDER BY application_name;

-- name: hold
-- The restore that is not finished, if there is one, locked until the transaction ends.
SELECT id, reason, began_at, known_until FROM restores WHERE finished_at IS NULL FOR UPDATE;

-- name: clearing
-- The last comparison that was asked for after $1 and goes back to $2 or farther: when it ended, if it has, and how many
-- of its differences are not settled. Takes no lock.
SELECT r.id, r.finished_at,
       (SELECT count(*) FROM differences AS d WHERE d.reconciliation_id = r.id AND d.state IN ('suspected', 'left')) AS unsettled
  FROM reconciliations AS r
 WHERE r.asked_at > $1::timestamptz AND r.since <= $2::timestamptz
 ORDER BY r.asked_at DESC LIMIT 1;

-- name: finish
-- The restore $1 ends at $2, cleared by the comparison $3. It is locked already.
UPDATE restores SET finished_at = $2::timestamptz, cleared_by = $3::uuid WHERE id = $1::uuid;

-- name: give_orders_back
-- Payments that were brought back and are neither failed nor canceled own their orders, where no other payment does: while
-- they were brought back, another one may still have stood here as its owner that had given the order away since. Returns one
-- for each. Locks them.
UPDATE payments SET owns_order = true
 WHERE id IN (
     SELECT DISTINCT ON (order_id) id FROM payments AS p
      WHERE adopted_at IS NOT NULL AND NOT owns_order AND state NOT IN ('failed', 'canceled')
        AND NOT EXISTS (SELECT FROM payments AS other WHERE other.order_id = p.order_id AND other.owns_order)
      ORDER BY order_id, created_at)
RETURNING id;
