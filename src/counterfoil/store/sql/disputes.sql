-- Disputes: what customers' banks want back.

-- name: disputes_of
-- All disputes of the payments $1, in the order in which they were opened. The payments' rows are what is locked.
SELECT payment_id, id, status, amount, currency, charge_id, opened_at, reason, funds, fee, fee_currency
  FROM disputes WHERE payment_id = ANY($1::uuid[]) ORDER BY payment_id, opened_at, id;

-- name: put
-- Disputes as they stand at $12, new or known. The payments' rows are locked already.
INSERT INTO disputes AS d (
    id, payment_id, charge_id, status, reason, amount, currency, funds, fee, fee_currency, opened_at, updated_at)
SELECT id, payment_id, charge_id, status, reason, amount, currency, funds, fee, fee_currency, opened_at, $12::timestamptz
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
              $9::bigint[], $10::text[], $11::timestamptz[])
       AS t(id, payment_id, charge_id, status, reason, amount, currency, funds, fee, fee_currency, opened_at)
 ORDER BY id
ON CONFLICT (id) DO UPDATE
   SET status = excluded.status, reason = excluded.reason, amount = excluded.amount, currency = excluded.currency,
       funds = excluded.funds, fee = excluded.fee, fee_currency = excluded.fee_currency, updated_at = excluded.updated_at
 WHERE d.payment_id = excluded.payment_id;
