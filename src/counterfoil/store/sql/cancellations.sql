-- Orders that are not wanted any more.

-- name: remember
-- Put on record that the order $1 was cancelled because of $2, at $4 as its owner says and at $3 as we heard; the first
-- word counts. Waits for a rival that says the same.
INSERT INTO order_cancellations (order_id, reason, received_at, cancelled_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: of_orders
-- Which of the orders $1 were cancelled, and why. Takes no lock.
SELECT order_id, reason, cancelled_at FROM order_cancellations WHERE order_id = ANY($1::text[]);

-- name: payments_of_order
-- All payments of the order $1. Takes no lock.
SELECT id FROM payments WHERE order_id = $1;

-- name: missed
-- Up to $2 payments whose order was cancelled after $1, and which have not heard of it. Takes no lock.
SELECT p.id FROM order_cancellations AS c JOIN payments AS p USING (order_id)
 WHERE c.received_at > $1::timestamptz AND p.cancel_reason IS DISTINCT FROM c.reason
 LIMIT $2::int;
