-- name: FindAPIKey :one
-- Relies on the unique index over key_hash.
SELECT id, team_id, scopes, last_used_at FROM api_keys
WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: TouchAPIKey :exec
UPDATE api_keys SET last_used_at = now() WHERE id = $1;

-- name: CreateAPIKey :execrows
-- No row: the key exists and stays as it is, revoked or not.
INSERT INTO api_keys (id, team_id, name, key_hash, key_prefix, value_length, masked_prefix, masked_suffix)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (key_hash) DO NOTHING;

-- name: IssueAPIKey :one
INSERT INTO api_keys (id, team_id, name, key_hash, key_prefix, value_length, masked_prefix, masked_suffix,
    scopes, expires_at, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING *;

-- name: ListAPIKeys :many
-- Relies on api_keys_by_team.
SELECT sqlc.embed(k), u.email AS creator_email FROM api_keys k
LEFT JOIN users u ON u.id = k.created_by
WHERE k.team_id = $1 AND k.revoked_at IS NULL
ORDER BY k.created_at DESC, k.id DESC;

-- name: RevokeAPIKeysBeyond :many
-- The keys that a member made for a team and that have more than the given scopes; NULL
-- scopes of a key are all scopes. Relies on api_keys_by_creator.
UPDATE api_keys SET revoked_at = now()
WHERE created_by = @user_id AND team_id = @team_id AND revoked_at IS NULL
    AND NOT coalesce(scopes <@ @scopes::text[], @all_scopes::boolean)
RETURNING id, team_id, name;

-- name: RenameAPIKey :execrows
UPDATE api_keys SET name = $3 WHERE id = $1 AND team_id = $2 AND revoked_at IS NULL;

-- name: FindAPIKeyMaker :one
-- The user who made a key, and the user's role in the team: NULL for an admin of the
-- installation and for a former member.
SELECT k.created_by, m.role FROM api_keys k
LEFT JOIN team_members m ON m.team_id = k.team_id AND m.user_id = k.created_by
WHERE k.id = @id AND k.team_id = @team_id AND k.revoked_at IS NULL;

-- name: RevokeAPIKey :one
UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND team_id = $2 AND revoked_at IS NULL
RETURNING name, scopes;

-- name: RevokeAPIKeysOf :many
-- The keys that a user made for a team, or for all teams where team_id is NULL. Relies
-- on api_keys_by_creator.
UPDATE api_keys SET revoked_at = now()
WHERE created_by = @user_id AND revoked_at IS NULL AND (sqlc.narg(team_id)::uuid IS NULL OR team_id = sqlc.narg(team_id))
RETURNING id, team_id, name;

-- name: CountAPIKeys :one
SELECT count(*) FROM api_keys WHERE team_id = $1 AND revoked_at IS NULL;
