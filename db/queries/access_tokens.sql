-- name: CreateAccessToken :one
INSERT INTO access_tokens (id, user_id, name, token_hash, token_prefix, value_length, masked_prefix, masked_suffix, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING *;

-- name: FindAccessToken :one
-- Relies on the unique index over token_hash.
SELECT t.id, t.user_id, t.last_used_at, u.email, u.platform_admin
FROM access_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND (t.expires_at IS NULL OR t.expires_at > now()) AND u.disabled_at IS NULL;

-- name: TouchAccessToken :exec
UPDATE access_tokens SET last_used_at = now() WHERE id = $1;

-- name: ListAccessTokens :many
-- Relies on access_tokens_by_user.
SELECT * FROM access_tokens WHERE user_id = $1 ORDER BY created_at DESC, id DESC;

-- name: DeleteAccessToken :execrows
DELETE FROM access_tokens WHERE id = $1 AND user_id = $2;

-- name: DeleteAccessTokensOf :exec
DELETE FROM access_tokens WHERE user_id = $1;

-- name: CountAccessTokens :one
SELECT count(*) FROM access_tokens WHERE user_id = $1;
