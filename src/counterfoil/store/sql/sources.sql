-- Outboxes of other services, in whatever database they are. {table} stands for the table's name, which whoever types these
-- has checked and put into quotes: a name cannot be an argument.

-- name: shape
-- The columns of table $1 and what we may do with each; none where there is no such table. Takes no lock.
SELECT attname::text AS name, format_type(atttypid, NULL) AS type, attnotnull AS required,
       has_column_privilege(attrelid, attnum, 'SELECT') AS readable,
       has_column_privilege(attrelid, attnum, 'UPDATE') AS writable
  FROM pg_attribute WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped;

-- name: try_to_lead
-- Become the one sender of table $1, if there is none; by its number, as one table may be named in two ways. Held by the
-- session: it ends with the connection.
SELECT pg_try_advisory_lock(hashtext('counterfoil outbox source'), to_regclass($1::text)::oid::int) AS leads;

-- name: next_rows
-- The oldest unpublished row of each aggregate among the $5 oldest rows, but for types other than $1 and the aggregates ($2,
-- $3), as many as have $6 bytes together and one in any case; a payload of more than $4 bytes is left out. A trace that is
-- well formed is taken out of the payload: OrderPlaced has no such field. Takes no lock: only the leader reads here.
WITH waiting AS (
    SELECT event_id, aggregate::text AS aggregate, aggregate_id::text AS aggregate_id, created_at
      FROM {table} AS o
     WHERE published_at IS NULL AND event_type::text = ANY($1::text[])
       AND (aggregate::text, aggregate_id::text) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))  -- hashed, once
     ORDER BY created_at, event_id LIMIT $5::int
), first AS (
    SELECT DISTINCT ON (aggregate, aggregate_id) event_id, aggregate, aggregate_id
      FROM waiting ORDER BY aggregate, aggregate_id, created_at, event_id
), sized AS (
    SELECT f.event_id, f.aggregate, f.aggregate_id, o.event_type::text AS event_type, o.tenant_id::text AS tenant_id,
           o.created_at, o.payload, least(octet_length(o.payload::text), $4::int + 1) AS bytes,
           substring(o.payload ->> 'traceparent' FROM
               '^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$') AS traceparent
      FROM first AS f JOIN {table} AS o USING (event_id)
), summed AS (
    SELECT *, sum(bytes) OVER (ORDER BY created_at, event_id) - bytes AS before FROM sized
)
SELECT event_id, aggregate, aggregate_id, event_type, tenant_id, created_at,
       CASE WHEN bytes > $4::int THEN NULL WHEN traceparent IS NULL THEN payload ELSE payload - 'traceparent' END::text
           AS payload, traceparent
  FROM summed WHERE before < $6::bigint OR before = 0 ORDER BY created_at, event_id;

-- name: mark_published
-- Say of the rows $1 that they were published, at $2; return those that say so now. Locks them.
UPDATE {table} SET published_at = $2::timestamptz WHERE event_id = ANY($1::uuid[]) AND published_at IS NULL
RETURNING event_id, published_at IS NOT NULL AS marked;

-- name: unmarked
-- Those of the rows $1 that are there, and are not said to be published. Takes no lock.
SELECT event_id FROM {table} WHERE event_id = ANY($1::uuid[]) AND published_at IS NULL;

-- name: waiting
-- How many of the $2 oldest unpublished rows are of the types $1, since when, how many are not, and one type of those. Takes
-- no lock.
SELECT count(*) FILTER (WHERE event_type = ANY($1::text[]))::int AS waiting,
       min(created_at) FILTER (WHERE event_type = ANY($1::text[])) AS since,
       count(*) FILTER (WHERE event_type <> ALL($1::text[]))::int AS unmapped,
       min(event_type) FILTER (WHERE event_type <> ALL($1::text[])) AS unmapped_type
  FROM (SELECT event_type::text AS event_type, created_at FROM {table}
         WHERE published_at IS NULL ORDER BY created_at, event_id LIMIT $2::int) AS oldest;
