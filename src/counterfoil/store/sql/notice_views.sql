-- Notices as people see them. None of these takes a lock. Whether a body is kept is looked up for each row shown, never with
-- EXISTS: the planner might rather read all bodies there are, once.

-- name: page
-- A page of notices, the latest first: of type $1 and since $2 where given, behind the time $3 and event $4 where given, $5
-- rows, in state $6 where given.
SELECT account, livemode, event_id, type, object_id, received_at, deliveries, state, reason, payment_id, awaits_payment, tries,
       next_try_at, concluded_at,
       coalesce((SELECT true FROM notice_bodies AS b
                  WHERE b.received_on = n.received_on AND b.account = n.account AND b.livemode = n.livemode
                    AND b.event_id = n.event_id), false) AS body_kept
  FROM notices AS n
 WHERE ($1::text IS NULL OR type = $1) AND received_at >= coalesce($2::timestamptz, '-infinity')
   AND (received_at, event_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::text, ''))
   AND ($6::text IS NULL OR state = $6)
 ORDER BY received_at DESC, event_id DESC LIMIT $5::int;

-- name: page_parked
-- The same of what is parked; a query of its own, so that its index is used whatever plan is kept.
SELECT account, livemode, event_id, type, object_id, received_at, deliveries, state, reason, payment_id, awaits_payment, tries,
       next_try_at, concluded_at,
       coalesce((SELECT true FROM notice_bodies AS b
                  WHERE b.received_on = n.received_on AND b.account = n.account AND b.livemode = n.livemode
                    AND b.event_id = n.event_id), false) AS body_kept
  FROM notices AS n
 WHERE state = 'parked' AND ($1::text IS NULL OR type = $1) AND received_at >= coalesce($2::timestamptz, '-infinity')
   AND (received_at, event_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::text, ''))
 ORDER BY received_at DESC, event_id DESC LIMIT $5::int;

-- name: page_of_payment
-- The same of one payment, $7; likewise a query of its own.
SELECT account, livemode, event_id, type, object_id, received_at, deliveries, state, reason, payment_id, awaits_payment, tries,
       next_try_at, concluded_at,
       coalesce((SELECT true FROM notice_bodies AS b
                  WHERE b.received_on = n.received_on AND b.account = n.account AND b.livemode = n.livemode
                    AND b.event_id = n.event_id), false) AS body_kept
  FROM notices AS n
 WHERE payment_id = $7::uuid AND ($1::text IS NULL OR type = $1) AND received_at >= coalesce($2::timestamptz, '-infinity')
   AND (received_at, event_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::text, ''))
   AND ($6::text IS NULL OR state = $6)
 ORDER BY received_at DESC, event_id DESC LIMIT $5::int;

-- name: page_quarantined
-- A page of the quarantine, the latest first: since $1 where given, behind the id $2 where given, $3 rows.
SELECT id, received_at, reason, octet_length(body) FROM quarantine
 WHERE ($1::timestamptz IS NULL OR received_at >= $1) AND ($2::uuid IS NULL OR id < $2)
 ORDER BY id DESC LIMIT $3::int;

-- name: of_event
-- The notice of the account $1 and the event $2, of the mode $3 where it is given, else of the mode $4 first.
SELECT account, livemode, event_id, type, object_id, received_at, deliveries, state, reason, payment_id, awaits_payment, tries,
       next_try_at, concluded_at,
       coalesce((SELECT true FROM notice_bodies AS b
                  WHERE b.received_on = n.received_on AND b.account = n.account AND b.livemode = n.livemode
                    AND b.event_id = n.event_id), false) AS body_kept
  FROM notices AS n
 WHERE account = $1::text AND livemode IN (false, true) AND event_id = $2::text
   AND ($3::boolean IS NULL OR livemode = $3)
 ORDER BY livemode = $4::boolean DESC LIMIT 1;

-- name: quarantined_as
-- What is in quarantine under the id $1.
SELECT id, received_at, reason, octet_length(body) FROM quarantine WHERE id = $1::uuid;

-- name: body_of
-- The body of the notice $1, $2, $3 (account, livemode, event id), while it is kept.
SELECT b.body FROM notices JOIN notice_bodies AS b USING (received_on, account, livemode, event_id)
 WHERE account = $1::text AND livemode = $2::boolean AND event_id = $3::text;
