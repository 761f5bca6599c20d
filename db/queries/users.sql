-- name: CreateUser :one
INSERT INTO users (id, email, name, password_hash, platform_admin) VALUES ($1, $2, $3, $4, $5)
RETURNING *;

-- name: GetUser :one
SELECT * FROM users WHERE id = $1;

-- name: LockUser :one
-- Holds the user's row, so that one of two changes that depend on it waits.
SELECT * FROM users WHERE id = $1 FOR UPDATE;

-- name: FindUserByEmail :one
-- Relies on the unique index over email.
SELECT * FROM users WHERE email = $1;

-- name: SetPassword :exec
UPDATE users SET password_hash = $2 WHERE id = $1;

-- name: RehashPassword :exec
-- Only over the hash that was checked: a change meanwhile wins.
UPDATE users SET password_hash = @new_hash WHERE id = @id AND password_hash = @old_hash;

-- name: SetUserName :exec
UPDATE users SET name = $2 WHERE id = $1;

-- name: PlatformAdminExists :one
SELECT EXISTS (SELECT FROM users WHERE platform_admin);

-- name: LockFirstAdmin :exec
-- Two who follow the first admin's link at once take turns.
SELECT pg_advisory_xact_lock(1467114863);

-- name: SetTOTPSecret :exec
UPDATE users SET totp_secret = $2, totp_confirmed_at = NULL, totp_last_step = 0 WHERE id = $1;

-- name: ConfirmTOTP :exec
UPDATE users SET totp_confirmed_at = now(), totp_last_step = $2 WHERE id = $1;

-- name: UseTOTPStep :execrows
-- No row: the code of this step has been used.
UPDATE users SET totp_last_step = $2 WHERE id = $1 AND totp_last_step < $2;

-- name: ClearTOTP :exec
UPDATE users SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = 0 WHERE id = $1;

-- name: AddRecoveryCode :exec
INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2);

-- name: UseRecoveryCode :execrows
DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2;

-- name: ClearRecoveryCodes :exec
DELETE FROM recovery_codes WHERE user_id = $1;

-- name: FindUserByIdentity :one
SELECT u.* FROM users u JOIN user_identities i ON i.user_id = u.id
WHERE i.provider = $1 AND i.subject = $2;

-- name: AddIdentity :exec
INSERT INTO user_identities (provider, subject, user_id) VALUES ($1, $2, $3)
ON CONFLICT (provider, subject) DO NOTHING;

-- name: ListSealedSecondFactors :many
-- The ID of the key follows one byte of format.
SELECT id, totp_secret FROM users
WHERE totp_secret IS NOT NULL AND substring(totp_secret FROM 2 FOR 8) <> @key_id::bytea AND id > @after
ORDER BY id LIMIT @batch;

-- name: ReplaceSealedSecondFactor :exec
UPDATE users SET totp_secret = @totp_secret WHERE id = @id AND totp_secret = @old_secret;

-- name: ListUsers :many
-- By mail address, beginning behind one. Relies on the unique index over email.
SELECT id, email, name, platform_admin, (totp_confirmed_at IS NOT NULL)::boolean AS has_second_factor, created_at, disabled_at
FROM users WHERE email > @after ORDER BY email LIMIT @page_size;

-- name: SetUserDisabled :exec
-- Who is disabled already keeps the time.
UPDATE users SET disabled_at = CASE WHEN @disabled::boolean THEN COALESCE(disabled_at, now()) END WHERE id = @id;

-- name: SetPlatformAdmin :exec
UPDATE users SET platform_admin = @platform_admin WHERE id = @id;

-- name: CountPlatformAdmins :one
SELECT count(*) FROM users WHERE platform_admin AND disabled_at IS NULL;
