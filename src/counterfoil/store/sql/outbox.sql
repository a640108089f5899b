-- The way out: what is still to be published, and the order in which it was.

-- name: try_to_lead
-- Become the one publisher of this database, if there is none. Held by the session: it ends with the connection.
SELECT pg_try_advisory_lock(hashtext('counterfoil outbox publisher')) AS leads;

-- name: next_facts
-- The lowest unpublished facts of up to $1 payments, in the order the payments were made; takes no lock: only the
-- leader reads here.
SELECT DISTINCT ON (payment_id) payment_id, version FROM outbox ORDER BY payment_id, version LIMIT $1::int;

-- name: next_messages
-- The lowest unpublished facts of up to $1 payments, whole, in the order the payments were made; the payments $2 are left
-- out. Takes no lock: only the leader reads here.
WITH lowest AS (
    SELECT DISTINCT ON (payment_id) payment_id, version
      FROM outbox WHERE payment_id <> ALL($2::uuid[]) ORDER BY payment_id, version LIMIT $1::int
)
SELECT payment_id, version, f.id, f.name, f.schema_version, f.occurred_at, f.body::text AS body,
       (SELECT traceparent FROM payments WHERE id = payment_id) AS traceparent
  FROM lowest JOIN facts AS f USING (payment_id, version) ORDER BY payment_id;

-- name: source
-- What names this installation to those who hear of several: its database. Takes no lock.
SELECT current_database();

-- name: mark_published
-- Give published facts their positions, in the order of the arrays, and take them out of the outbox; $4 is why no broker has
-- one, where none has.
WITH out AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $4::text[]) WITH ORDINALITY AS t(payment_id, version, undelivered, place)
), gone AS (
    DELETE FROM outbox AS o USING out WHERE o.payment_id = out.payment_id AND o.version = out.version
    RETURNING o.payment_id, o.version
)
INSERT INTO positions (payment_id, version, published_at, undelivered)
SELECT payment_id, version, $3::timestamptz, undelivered FROM out JOIN gone USING (payment_id, version) ORDER BY place;

-- name: undelivered
-- How many published facts no broker has. Takes no lock.
SELECT count(*)::int FROM positions WHERE undelivered IS NOT NULL;

-- name: waiting
-- How many facts wait to be published. Takes no lock.
SELECT count(*) AS waiting FROM outbox;
