-- How an order's payment stands. Takes no lock.

-- name: of_order
-- The payment that tells how the order $1 stands: the one that holds its money, else the live one, else the latest.
SELECT id, state, amount, currency, amount_captured, amount_refunded, updated_at
  FROM payments WHERE order_id = $1
 ORDER BY amount_captured > amount_refunded DESC, owns_order DESC, id DESC LIMIT 1;
