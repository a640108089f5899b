-- While the processor refuses our key.

-- name: begin
-- Pause the credential $1 since $2 because of $3, to be tried again at $4. Returns it where it was not paused yet.
INSERT INTO pauses (credential, since, reason, probe_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING credential;

-- name: take_probe
-- Take the turn to try the credential $1, where it is paused and its time has come at $2; the next turn is at $3.
UPDATE pauses SET probe_at = $3::timestamptz WHERE credential = $1 AND probe_at <= $2::timestamptz RETURNING since;

-- name: finish
-- Resume with the credential $1. Returns since when it was paused, where it was.
DELETE FROM pauses WHERE credential = $1 RETURNING since;

-- name: current
-- Since when and why the credential $1 is paused, if it is. Takes no lock.
SELECT since, reason FROM pauses WHERE credential = $1;

-- name: oldest
-- The pause that has lasted longest, whichever credential it is of, of those whose turn to be probed is not long past at $1:
-- nobody uses the others any more. Takes no lock.
SELECT since, reason FROM pauses WHERE probe_at > $1::timestamptz ORDER BY since LIMIT 1;
