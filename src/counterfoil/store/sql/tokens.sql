-- Who may call the gateway.

-- name: create
-- A new token, by name and hash. Fails where the name is taken.
INSERT INTO tokens (name, hash, scopes, created_at) VALUES ($1, $2, $3::text[], $4);

-- name: revoke
-- End a token. Returns its name, where there was one still good.
UPDATE tokens SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING name;

-- name: listed
-- All tokens, by name, without their hashes. Takes no lock.
SELECT name, scopes, created_at, revoked_at FROM tokens ORDER BY name;

-- name: good
-- The tokens that are not revoked, for the gateway's memory. Takes no lock.
SELECT name, hash, scopes FROM tokens WHERE revoked_at IS NULL;
