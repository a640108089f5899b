-- Which of our customers is which of the processor's.

-- name: put
-- The customer $1 is the processor's $2, and pays with $3 when an order does not say; at $4. What was linked before is
-- replaced. Locks the row.
INSERT INTO customers (id, processor_id, default_method, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE
   SET processor_id = excluded.processor_id, default_method = excluded.default_method, updated_at = excluded.updated_at;

-- name: links
-- Who the customers $1 are, those that are linked. Takes no lock.
SELECT id, processor_id, default_method FROM customers WHERE id = ANY($1::text[]);
