-- What the server must be like, and when it is ready for us.

-- name: promises
-- The settings our promises rest on: server version number, synchronous_commit, whether it is a standby.
SELECT current_setting('server_version_num')::int AS version,
       current_setting('synchronous_commit') AS synchronous_commit,
       pg_is_in_recovery() AS standby;

-- name: readiness
-- The schema's version, and how many days of bodies can be kept from $1 (a date) on. Takes no lock.
SELECT (SELECT max(version) FROM schema_migrations) AS schema_version,
       (SELECT count(*) FROM generate_series(0, 13) AS n
         WHERE to_regclass('notice_bodies_' || to_char($1::date + n, 'YYYYMMDD')) IS NOT NULL) AS partitions_ahead;

-- name: make_partitions
-- Make the daily partitions from the date $1 on, $2 days of them. Waits for others that do the same.
SELECT make_notice_partitions($1::date, $2::int) AS made;

-- name: drop_partitions
-- Drop the oldest daily partitions before the date $1 that hold no body still to be read, at most $2 of them, and return how
-- many; none where others are at work on them. Locks the bodies against everybody for a moment.
SELECT drop_notice_partitions($1::date, $2::int) AS dropped;
