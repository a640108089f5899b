-- The schema's own history.

-- name: wait_for_turn
-- One migration at a time on a database: waits for the other, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('counterfoil migrations'));

-- name: make_history
-- The table that says what was applied. Makes it where it is not there yet.
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied
-- The versions this database has been through, lowest first.
SELECT version FROM schema_migrations ORDER BY version;

-- name: note_applied
-- Say that a migration was applied: version $1, name $2.
INSERT INTO schema_migrations (version, name) VALUES ($1, $2);
