-- A database that was put back to an earlier moment only looks up, until it has caught up.
SET LOCAL lock_timeout = '2s';

CREATE TABLE restores (
    id          uuid        PRIMARY KEY,
    reason      text        NOT NULL,
    began_at    timestamptz NOT NULL,
    known_until timestamptz NOT NULL,
    finished_at timestamptz,
    cleared_by  uuid        REFERENCES reconciliations (id)
);

CREATE UNIQUE INDEX restores_one_at_a_time ON restores ((true)) WHERE finished_at IS NULL;

ALTER TABLE payments
    ADD COLUMN adopted_at timestamptz;

-- Widened: what a restored database has forgotten is brought back.
ALTER TABLE differences
    DROP CONSTRAINT differences_remedy_is_known,
    ADD CONSTRAINT differences_remedy_is_known CHECK (remedy IN ('hear', 'recount', 'learn', 'ask', 'adopt', 'person'));
