-- name: CreateSession :exec
INSERT INTO user_sessions (token_hash, id, user_id, expires_at, user_agent, address)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: FindSession :one
-- Relies on the primary key over token_hash.
SELECT s.id, s.user_id, s.last_used_at, u.email, u.platform_admin
FROM user_sessions s JOIN users u ON u.id = s.user_id
WHERE s.token_hash = @token_hash AND s.expires_at > now() AND s.last_used_at > @idle_since
    AND u.disabled_at IS NULL;

-- name: FindCredentialUser :one
-- The user of a session or of an access token. No row: it was ended or revoked, or the
-- user is disabled.
SELECT u.* FROM users u WHERE u.id = @user_id AND u.disabled_at IS NULL AND (
    EXISTS (SELECT FROM user_sessions s WHERE s.id = @session_id AND s.user_id = u.id)
    OR EXISTS (SELECT FROM access_tokens t WHERE t.id = @token_id AND t.user_id = u.id)
);

-- name: TouchSession :exec
UPDATE user_sessions SET last_used_at = now() WHERE id = $1;

-- name: EndSession :execrows
DELETE FROM user_sessions WHERE token_hash = $1;

-- name: EndSessionsOf :exec
DELETE FROM user_sessions WHERE user_id = $1;

-- name: DeleteExpiredSessions :exec
-- Relies on user_sessions_by_expiry.
DELETE FROM user_sessions WHERE expires_at < now();

-- name: CreateOneTimeToken :exec
INSERT INTO one_time_tokens (token_hash, purpose, user_id, expires_at) VALUES ($1, $2, $3, $4);

-- name: FindOneTimeToken :one
SELECT * FROM one_time_tokens WHERE token_hash = $1 AND purpose = $2 AND expires_at > now();

-- name: UseOneTimeToken :one
-- No row: it was used or has expired.
DELETE FROM one_time_tokens WHERE token_hash = $1 AND purpose = $2 AND expires_at > now()
RETURNING *;

-- name: DropOneTimeTokens :exec
DELETE FROM one_time_tokens WHERE purpose = $1 AND user_id IS NOT DISTINCT FROM sqlc.narg(user_id);

-- name: DeleteExpiredOneTimeTokens :exec
-- Relies on one_time_tokens_by_expiry.
DELETE FROM one_time_tokens WHERE expires_at < now();
