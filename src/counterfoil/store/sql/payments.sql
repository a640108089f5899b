-- Payments, attempts and facts: how they come to be, are held, and move.

-- name: insert_payments
-- New payments, each with its first attempt and first fact, in one statement. Returns the ids of those that are new: an
-- event already known, or an order that has a live payment, is left out. Waits for a rival that inserts the same key.
WITH asked AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
        $10::boolean[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bytea[], $17::boolean[],
        $18::timestamptz[], $19::text[], $20::timestamptz[], $21::text[], $22::text[], $23::bytea[], $24::bytea[],
        $25::text[], $26::timestamptz[], $27::uuid[], $28::text[], $29::text[], $30::text[], $31::text[], $32::text[],
        $33::boolean[], $34::text[], $35::timestamptz[], $36::boolean[], $37::timestamptz[],
        $38::text[]
    ) AS t(
        id, event_id, order_id, customer_id, customer_email, amount, currency, capture_method, payment_method,
        off_session, mandate, return_url, locale, items, metadata, fingerprint, livemode,
        created_at, state, next_check_at, attempt_state, idempotency_key, request, request_hash,
        claimed_by, claim_expires_at, fact_id, fact_name, schema_version, body, cause_source, cause_reference,
        stored_method, screening_mode, decide_by, owns_order, adopted_at, traceparent)
), new AS (
    INSERT INTO payments (
        id, event_id, order_id, customer_id, customer_email, amount, currency, capture_method, payment_method,
        off_session, mandate, return_url, locale, items, metadata, fingerprint, livemode,
        created_at, state, version, next_check_at, updated_at, stored_method, screening_mode, decide_by, screening,
        owns_order, adopted_at, traceparent)
    SELECT id, event_id, order_id, customer_id, customer_email, amount, currency, capture_method, payment_method,
           off_session, mandate::jsonb, return_url, locale, items::jsonb, metadata::jsonb, fingerprint, livemode,
           created_at, state, 1, next_check_at, created_at, stored_method, screening_mode, decide_by,
           decide_by IS NOT NULL, owns_order, adopted_at, traceparent
      FROM asked
     WHERE adopted_at IS NOT NULL OR NOT EXISTS (SELECT FROM restores WHERE finished_at IS NULL)
     ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING id
), attempt AS (
    INSERT INTO attempts (
        payment_id, number, state, payment_method, idempotency_key, request, request_hash, created_at,
        claimed_by, claim_expires_at, fence, exposed, first_sent_at, last_sent_at, unknown_since)
    SELECT id, 1, attempt_state, payment_method, idempotency_key, request, request_hash, created_at,
           claimed_by, claim_expires_at, 1, claimed_by IS NOT NULL,
           CASE WHEN claimed_by IS NOT NULL THEN created_at END,
           CASE WHEN claimed_by IS NOT NULL THEN created_at END,
           CASE WHEN claimed_by IS NOT NULL THEN created_at END
      FROM asked JOIN new USING (id)
), fact AS (
    INSERT INTO facts (
        payment_id, version, id, name, schema_version, body, cause_source, cause_reference, occurred_at)
    SELECT id, 1, fact_id, fact_name, schema_version, body::jsonb, cause_source, cause_reference, created_at
      FROM asked JOIN new USING (id)
), queued AS (
    INSERT INTO outbox (payment_id, version) SELECT id, 1 FROM new
)
SELECT id FROM new;

-- name: known_events
-- The payments that already answer for the event ids $1. Takes no lock.
SELECT event_id, id, fingerprint FROM payments WHERE event_id = ANY($1::text[]);

-- name: live_orders
-- The live payments of the orders $1. Takes no lock.
SELECT order_id, id FROM payments WHERE order_id = ANY($1::text[]) AND owns_order;

-- name: payments_by_id
-- Payments as the domain knows them, by id. Takes no lock.
SELECT id, event_id, order_id, customer_id, amount, currency, capture_method, off_session, stored_method, created_at, state,
       version, intent_id, amount_captured, amount_refunded, amount_refund_reserved, screening, screening_mode,
       fraud_decision, reviewing, decide_by, hold_ends_at, let_go_at, amount_to_capture, retry_at, cancel_requested_at,
       cancel_reason, cancel_refund_id, disputed, dispute_status, fee, fee_currency, checks, next_check_at,
       livemode
  FROM payments WHERE id = ANY($1::uuid[]) ORDER BY id;

-- name: lock_payments
-- The same, each row locked until the transaction ends; always in the order of ids, so that no two of us deadlock.
SELECT id, event_id, order_id, customer_id, amount, currency, capture_method, off_session, stored_method, created_at, state,
       version, intent_id, amount_captured, amount_refunded, amount_refund_reserved, screening, screening_mode,
       fraud_decision, reviewing, decide_by, hold_ends_at, let_go_at, amount_to_capture, retry_at, cancel_requested_at,
       cancel_reason, cancel_refund_id, disputed, dispute_status, fee, fee_currency, checks, next_check_at,
       livemode
  FROM payments WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE;

-- name: attempts_of
-- All attempts of the payments $1, in order. The payment's row is what is locked; attempts need no lock of their own.
SELECT payment_id, number, state, charge_id, decline_reason, decline_code, decline_message, decline_can_retry,
       action_url, action_expires_at, exposed, unknown_since, absent_since, settling, may_appear_until, expired_at,
       idempotency_key, request, created_at, first_sent_at, last_sent_at, fence, claim_expires_at
  FROM attempts WHERE payment_id = ANY($1::uuid[]) ORDER BY payment_id, number;

-- name: by_intent
-- Which payment carries which of the processor's payment ids $1. Takes no lock.
SELECT intent_id, id FROM payments WHERE intent_id = ANY($1::text[]);

-- name: by_charge
-- Which payment has which of the charges $1. Takes no lock.
SELECT charge_id, payment_id FROM attempts WHERE charge_id = ANY($1::text[]);

-- name: lock_due_to_send
-- Up to $2 payments whose time has come at $1 and whose last attempt is still to be sent, or sent again, under a key that
-- was first sent after $3; none while the credential $4 is paused, or a restored database catches up. A first attempt
-- whose intent is known is asked about instead; of a further one the intent would tell the earlier ones' story. Locks
-- each; rows another process holds are skipped.
SELECT id FROM payments AS p
 WHERE next_check_at <= $1::timestamptz AND state IN ('requested', 'processing', 'in_doubt')
   AND EXISTS (
       SELECT FROM attempts AS a
        WHERE a.payment_id = p.id AND a.number = (SELECT max(number) FROM attempts WHERE payment_id = p.id)
          AND a.state IN ('queued', 'sent') AND a.settling IN ('resend', 'retry')
          AND (p.intent_id IS NULL OR a.number > 1) AND NOT (a.exposed AND a.first_sent_at <= $3::timestamptz)
          AND (a.claim_expires_at IS NULL OR a.claim_expires_at <= $1::timestamptz))
   AND NOT EXISTS (SELECT FROM pauses WHERE credential = $4::text)
   AND NOT EXISTS (SELECT FROM restores WHERE finished_at IS NULL)
 ORDER BY next_check_at LIMIT $2::int FOR UPDATE SKIP LOCKED;

-- name: lock_to_let_go
-- Up to $2 payments whose time has come at $1 and of which what is held, or waits for its customer, is to be let go; none
-- while the credential $3 is paused, or a restored database catches up. Locks each; rows another process holds are skipped.
SELECT id FROM payments AS p
 WHERE next_check_at <= $1::timestamptz AND let_go_at <= $1::timestamptz
   AND state IN ('requires_action', 'authorized')
   AND NOT EXISTS (SELECT FROM pauses WHERE credential = $3::text)
   AND NOT EXISTS (SELECT FROM restores WHERE finished_at IS NULL)
 ORDER BY next_check_at LIMIT $2::int FOR UPDATE SKIP LOCKED;

-- name: lock_to_capture
-- Up to $2 payments whose time has come at $1, whose hold is asked to be captured and is not to be let go; none while the
-- credential $3 is paused, or a restored database catches up. Locks each; rows another process holds are skipped.
SELECT id FROM payments AS p
 WHERE next_check_at <= $1::timestamptz AND state = 'authorized' AND amount_to_capture IS NOT NULL
   AND (let_go_at IS NULL OR let_go_at > $1::timestamptz)
   AND NOT EXISTS (SELECT FROM pauses WHERE credential = $3::text)
   AND NOT EXISTS (SELECT FROM restores WHERE finished_at IS NULL)
 ORDER BY next_check_at LIMIT $2::int FOR UPDATE SKIP LOCKED;

-- name: lock_doubtful
-- Up to $2 payments shown as processing whose outcome has been unknown since $1 or longer, while the credential $3 is
-- paused: nobody else looks at them then. Locks each; rows another process holds are skipped.
SELECT id FROM payments AS p
 WHERE next_check_at IS NOT NULL AND state = 'processing'
   AND EXISTS (SELECT FROM attempts AS a WHERE a.payment_id = p.id AND a.unknown_since <= $1::timestamptz)
   AND EXISTS (SELECT FROM pauses WHERE credential = $3::text)
 ORDER BY id LIMIT $2::int FOR UPDATE SKIP LOCKED;

-- name: claim_due_to_ask
-- Take up to $2 payments whose time has come at $1 and that none of `lock_due_to_send`, `lock_to_let_go` and
-- `lock_to_capture` would give, nor anybody is sending, nor are to be tried again, nor wait for a fraud check before they are
-- sent; nobody else takes them before $3. $4 and $5 are the deadline of keys and the credential, as there.
-- Locks each; rows another process holds are skipped.
WITH due AS (
    SELECT id FROM payments AS p
     WHERE next_check_at <= $1::timestamptz AND state <> 'screening'
       AND NOT (state IN ('requested', 'processing', 'in_doubt') AND EXISTS (
           SELECT FROM attempts AS a
            WHERE a.payment_id = p.id AND a.number = (SELECT max(number) FROM attempts WHERE payment_id = p.id)
              AND a.state IN ('queued', 'sent') AND a.settling IN ('resend', 'retry')
              AND (p.intent_id IS NULL OR a.number > 1) AND NOT (a.exposed AND a.first_sent_at <= $4::timestamptz)))
       AND NOT EXISTS (
           SELECT FROM attempts AS a WHERE a.payment_id = p.id AND a.claim_expires_at > $1::timestamptz)
       AND NOT (state IN ('requires_action', 'authorized') AND coalesce(let_go_at <= $1::timestamptz, false))
       AND NOT (state = 'authorized' AND amount_to_capture IS NOT NULL)
       AND (retry_at IS NULL OR retry_at > $1::timestamptz)
       AND NOT EXISTS (SELECT FROM pauses WHERE credential = $5::text)
     ORDER BY next_check_at LIMIT $2::int FOR UPDATE SKIP LOCKED
)
UPDATE payments AS p SET next_check_at = $3::timestamptz
  FROM due LEFT JOIN attempts AS last
    ON last.payment_id = due.id AND last.number = (SELECT max(number) FROM attempts WHERE payment_id = due.id)
 WHERE p.id = due.id
RETURNING p.id, p.intent_id, last.idempotency_key, last.request,
          (SELECT min(first_sent_at) FROM attempts AS a WHERE a.payment_id = p.id) AS first_sent_at,
          (SELECT max(greatest(last_sent_at, may_appear_until)) FROM attempts AS a WHERE a.payment_id = p.id)
              AS may_be_made_until;

-- name: orders_of
-- What the client wished of the payments $1, as they were accepted. Takes no lock.
SELECT id, event_id, order_id, amount, currency, payment_method, customer_id, off_session, mandate, return_url, capture_method,
       metadata
  FROM payments WHERE id = ANY($1::uuid[]);

-- name: add_attempt
-- A further attempt of a payment whose row is locked, claimed by $9 until $10 at $8. The payment owns its order again;
-- fails where another payment does by now. Its method is not the order's, so nobody tries it again without the customer.
WITH owning AS (
    UPDATE payments SET owns_order = true, stored_method = false WHERE id = $1::uuid
)
INSERT INTO attempts (
    payment_id, number, state, payment_method, idempotency_key, request, request_hash, created_at,
    claimed_by, claim_expires_at, fence, exposed, first_sent_at, last_sent_at, unknown_since)
VALUES ($1::uuid, $2::int, $3::text, $4::text, $5::text, $6::bytea, $7::bytea, $8::timestamptz,
        $9::text, $10::timestamptz, 1, true, $8::timestamptz, $8::timestamptz, $8::timestamptz);

-- name: open_payments
-- What is open and what is in doubt: since when the oldest open payment is there, and by currency how many are in doubt,
-- of how much altogether. One that has ended is not open again because something hints at news of it. Takes no lock.
SELECT currency, count(*) FILTER (WHERE state = 'in_doubt') AS doubted,
       coalesce(sum(amount) FILTER (WHERE state = 'in_doubt'), 0)::bigint AS amount_in_doubt, min(created_at) AS oldest
  FROM payments WHERE next_check_at IS NOT NULL AND state NOT IN ('succeeded', 'failed', 'canceled') GROUP BY currency;

-- name: claim_attempts
-- Take the attempts ($1 payment, $2 number) for $3 until $4, at $5: the fence rises, the time of sending is on record.
-- The payments' rows are locked already.
UPDATE attempts AS a
   SET claimed_by = $3::text, claim_expires_at = $4::timestamptz, fence = a.fence + 1,
       first_sent_at = CASE WHEN a.exposed THEN a.first_sent_at ELSE $5::timestamptz END,
       last_sent_at = $5::timestamptz
  FROM unnest($1::uuid[], $2::int[]) AS t(payment_id, number)
 WHERE a.payment_id = t.payment_id AND a.number = t.number
RETURNING a.payment_id, a.number, a.fence;

-- name: write_payments
-- One write for each payment that moved: its row, its attempts, its new facts and their place in the outbox.
-- The payments' rows are locked already. Arrays $1–$24 are payments, $25–$41 attempts, $42–$50 facts, $51 the time, $52 when
-- what is known late of those that succeed by this is asked for. Live task tokens that waited for the outcome of up to the
-- attempt $54 of the payment $53 are answered now, and where that has ended ($55) those that wait for what follows; one whose
-- answer failed has its time, unless somebody who knows less has it in hand.
WITH moved AS (
    UPDATE payments AS p
       SET state = t.state, version = t.version, intent_id = t.intent_id, amount_captured = t.amount_captured,
           amount_refunded = t.amount_refunded, amount_refund_reserved = t.amount_refund_reserved,
           screening = t.screening, fraud_decision = t.fraud_decision, reviewing = t.reviewing, decide_by = t.decide_by,
           hold_ends_at = t.hold_ends_at, let_go_at = t.let_go_at,
           amount_to_capture = t.amount_to_capture, retry_at = t.retry_at,
           cancel_requested_at = t.cancel_requested_at, cancel_reason = t.cancel_reason,
           cancel_refund_id = t.cancel_refund_id, disputed = t.disputed,
           dispute_status = t.dispute_status, fee = t.fee, fee_currency = t.fee_currency, checks = t.checks,
           next_check_at = t.next_check_at, updated_at = $51::timestamptz,
           learn_at = CASE WHEN t.state = 'succeeded' AND p.state <> 'succeeded' THEN $52::timestamptz ELSE p.learn_at END,
           owns_order = p.owns_order AND t.state NOT IN ('failed', 'canceled')
      FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::boolean[], $9::text[], $10::boolean[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::bigint[],
                  $15::timestamptz[], $16::timestamptz[], $17::text[], $18::boolean[], $19::text[], $20::bigint[],
                  $21::text[], $22::int[], $23::timestamptz[], $24::uuid[])
           AS t(id, state, version, intent_id, amount_captured, amount_refunded, amount_refund_reserved, screening,
                fraud_decision, reviewing, decide_by, hold_ends_at, let_go_at, amount_to_capture, retry_at, cancel_requested_at,
                cancel_reason, disputed, dispute_status, fee, fee_currency, checks, next_check_at, cancel_refund_id)
     WHERE p.id = t.id
), tried AS (
    UPDATE attempts AS a
       SET state = t.state, charge_id = t.charge_id, decline_reason = t.decline_reason, decline_code = t.decline_code,
           decline_message = t.decline_message, decline_can_retry = t.decline_can_retry, action_url = t.action_url,
           action_expires_at = t.action_expires_at, exposed = t.exposed, unknown_since = t.unknown_since,
           absent_since = t.absent_since, settling = t.settling, may_appear_until = t.may_appear_until,
           expired_at = t.expired_at,
           claimed_by = CASE WHEN t.released THEN NULL ELSE a.claimed_by END,
           claim_expires_at = CASE WHEN t.released THEN NULL ELSE a.claim_expires_at END
      FROM unnest($25::uuid[], $26::int[], $27::text[], $28::text[], $29::text[], $30::text[], $31::text[],
                  $32::boolean[], $33::text[], $34::timestamptz[], $35::boolean[], $36::timestamptz[],
                  $37::timestamptz[], $38::text[], $39::timestamptz[], $40::timestamptz[], $41::boolean[])
           AS t(payment_id, number, state, charge_id, decline_reason, decline_code, decline_message,
                decline_can_retry, action_url, action_expires_at, exposed, unknown_since, absent_since, settling,
                may_appear_until, expired_at, released)
     WHERE a.payment_id = t.payment_id AND a.number = t.number
), woken AS (
    UPDATE task_tokens AS t SET next_try_at = $51::timestamptz, woken = true
      FROM unnest($53::uuid[], $54::int[], $55::boolean[]) AS r(payment_id, attempt, has_ended)
     WHERE t.payment_id = r.payment_id AND (t.attempt <= r.attempt OR (t.attempt IS NULL AND r.has_ended))
       AND t.settled_at IS NULL
       AND (t.failures = 0 OR t.claimed_by IS NOT NULL)
), said AS (
    INSERT INTO facts (
        payment_id, version, id, name, schema_version, body, cause_source, cause_reference, occurred_at)
    SELECT payment_id, version, id, name, schema_version, body::jsonb, cause_source, cause_reference, occurred_at
      FROM unnest($42::uuid[], $43::int[], $44::uuid[], $45::text[], $46::text[], $47::text[], $48::text[],
                  $49::text[], $50::timestamptz[])
           AS t(payment_id, version, id, name, schema_version, body, cause_source, cause_reference, occurred_at)
)
INSERT INTO outbox (payment_id, version) SELECT * FROM unnest($42::uuid[], $43::int[]);
