-- Our side of what the processor lists.

-- name: refunds_named
-- The refunds of ours that the processor calls $1, or whose ids are $2. Takes no lock.
SELECT id, payment_id, processor_id, amount, currency, state
  FROM refunds WHERE processor_id = ANY($1::text[]) OR id = ANY($2::uuid[]);
