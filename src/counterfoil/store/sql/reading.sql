-- What people and programs ask to see. None of these takes a lock.

-- name: payments_page
-- A page of payments, newest first: before the id $1 where given, of order $2 and customer $3 where given, $4 rows.
SELECT id, event_id, order_id, customer_id, amount, currency, capture_method, payment_method, created_at, updated_at,
       state, version, intent_id, amount_captured, amount_to_capture, amount_refunded, disputed, hold_ends_at, dispute_status,
       fee, fee_currency, next_check_at, retry_at, screening_mode, screening, reviewing, fraud_decision, decide_by
  FROM payments
 WHERE ($1::uuid IS NULL OR id < $1)
   AND ($2::text IS NULL OR order_id = $2) AND ($3::text IS NULL OR customer_id = $3)
 ORDER BY id DESC LIMIT $4::int;

-- name: payments_page_of_state
-- The same of one state, $5; a query of its own, so that its index is used whatever plan is kept.
SELECT id, event_id, order_id, customer_id, amount, currency, capture_method, payment_method, created_at, updated_at,
       state, version, intent_id, amount_captured, amount_to_capture, amount_refunded, disputed, hold_ends_at, dispute_status,
       fee, fee_currency, next_check_at, retry_at, screening_mode, screening, reviewing, fraud_decision, decide_by
  FROM payments
 WHERE state = $5::text AND ($1::uuid IS NULL OR id < $1)
   AND ($2::text IS NULL OR order_id = $2) AND ($3::text IS NULL OR customer_id = $3)
 ORDER BY id DESC LIMIT $4::int;

-- name: page_under_review
-- The ids of such a page of those that wait for a person, whatever their state.
SELECT id
  FROM payments
 WHERE reviewing AND next_check_at IS NOT NULL AND ($1::uuid IS NULL OR id < $1)
   AND ($2::text IS NULL OR order_id = $2) AND ($3::text IS NULL OR customer_id = $3)
 ORDER BY id DESC LIMIT $4::int;

-- name: payment_views
-- The payments $1 as the API shows them.
SELECT id, event_id, order_id, customer_id, amount, currency, capture_method, payment_method, created_at, updated_at,
       state, version, intent_id, amount_captured, amount_to_capture, amount_refunded, disputed, hold_ends_at, dispute_status,
       fee, fee_currency, next_check_at, retry_at, screening_mode, screening, reviewing, fraud_decision, decide_by
  FROM payments WHERE id = ANY($1::uuid[]);

-- name: attempts_shown
-- The attempts of the payments $1, in order.
SELECT payment_id, number, state, charge_id, decline_reason, decline_code, decline_message, decline_can_retry,
       action_url, action_expires_at, first_sent_at, last_sent_at, payment_method
  FROM attempts WHERE payment_id = ANY($1::uuid[]) ORDER BY payment_id, number;

-- name: payment_of_order
-- The payment of the order $1: the live one, else the latest.
SELECT id FROM payments WHERE order_id = $1 ORDER BY owns_order DESC, id DESC LIMIT 1;

-- name: timeline
-- Everything on record about the payment $1, in the order it happened: requests, notices, checks, facts, the fee, and what a
-- state machine asked for and was told, without its tokens.
SELECT at, kind, name, sequence, reference, source, grounds FROM (
    SELECT first_sent_at AS at, 'request' AS kind, 'attempt ' || number AS name, number AS sequence,
           idempotency_key AS reference, NULL AS source, NULL::jsonb AS grounds, 0 AS rank
      FROM attempts WHERE payment_id = $1 AND first_sent_at IS NOT NULL
    UNION ALL
    SELECT first_sent_at, 'request', 'refund', row_number() OVER (ORDER BY created_at, id), idempotency_key, NULL, NULL, 0
      FROM refunds WHERE payment_id = $1 AND first_sent_at IS NOT NULL
    UNION ALL
    SELECT received_at, 'notice', type, deliveries, event_id, state, NULL, 3 FROM notices WHERE payment_id = $1
    UNION ALL
    SELECT received_at, 'check', CASE source WHEN 'review' THEN 'review ' ELSE 'fraud check ' END || lower(decision), 1,
           concat_ws(': ', reference, note), risk_score::text, grounds, 1
      FROM fraud_checks WHERE payment_id = $1
    UNION ALL
    SELECT occurred_at, 'fact', name, version, cause_reference, cause_source, NULL, 2 FROM facts WHERE payment_id = $1
    UNION ALL
    SELECT fee_known_at, 'fee', 'fee', fee, fee_reference, fee_currency, NULL, 3 FROM payments
     WHERE id = $1 AND fee_known_at IS NOT NULL
    UNION ALL
    SELECT received_at, 'task', step || ' asked for', 1, execution, NULL, NULL, 1 FROM task_tokens WHERE payment_id = $1
    UNION ALL
    SELECT settled_at, 'task', step || ' answered', 1, execution, outcome, jsonb_build_object('reason', reason), 4
      FROM task_tokens WHERE payment_id = $1 AND settled_at IS NOT NULL
) AS entries
ORDER BY at, rank, sequence;

-- name: facts_after
-- Up to $2 published facts after the position $1, in the order of position.
SELECT position, f.id, f.name, f.schema_version, f.payment_id, f.version, f.occurred_at, f.body
  FROM positions JOIN facts AS f USING (payment_id, version)
 WHERE position > $1::bigint ORDER BY position LIMIT $2::int;
