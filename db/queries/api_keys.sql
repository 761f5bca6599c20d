-- name: FindAPIKey :one
-- Relies on the unique index over key_hash.
SELECT id, team_id, last_used_at FROM api_keys
WHERE key_hash = $1 AND revoked_at IS NULL;

-- name: TouchAPIKey :exec
UPDATE api_keys SET last_used_at = now() WHERE id = $1;

-- name: CreateAPIKey :execrows
-- A key that exists is left as it is: a revoked one stays revoked.
INSERT INTO api_keys (id, team_id, name, key_hash, key_prefix, value_length, masked_prefix, masked_suffix)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (key_hash) DO NOTHING;
