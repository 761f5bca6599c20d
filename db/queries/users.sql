-- name: CreateUser :one
INSERT INTO users (id, email, name, password_hash, platform_admin, local) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *;

-- name: GetUser :one
SELECT * FROM users WHERE id = $1;

-- name: LockUser :one
-- Serialises changes of the user and of what the user owns.
SELECT * FROM users WHERE id = $1 FOR UPDATE;

-- name: FindUserByEmail :one
-- Relies on the unique index over email.
SELECT * FROM users WHERE email = $1;

-- name: SetPassword :exec
UPDATE users SET password_hash = $2 WHERE id = $1;

-- name: RehashPassword :exec
-- Only where the hash is still the one that was checked.
UPDATE users SET password_hash = @new_hash WHERE id = @id AND password_hash = @old_hash;

-- name: SetUserName :exec
UPDATE users SET name = $2 WHERE id = $1;

-- name: PlatformAdminExists :one
-- Beside the user of this machine, who has no password.
SELECT EXISTS (SELECT FROM users WHERE platform_admin AND NOT local);

-- name: FindLocalUser :one
-- Relies on users_local.
SELECT * FROM users WHERE local;

-- name: LockFirstAdmin :exec
-- Serialises changes of who is an admin of the installation. The number is arbitrary.
SELECT pg_advisory_xact_lock(1467114863);

-- name: SetTOTPSecret :exec
UPDATE users SET totp_secret = $2, totp_confirmed_at = NULL, totp_last_step = 0 WHERE id = $1;

-- name: ConfirmTOTP :exec
UPDATE users SET totp_confirmed_at = now(), totp_last_step = $2 WHERE id = $1;

-- name: UseTOTPStep :execrows
-- No row: a code of this or a later step was used.
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

-- name: AddIdentity :execrows
-- No row: the identity is tied already.
INSERT INTO user_identities (provider, subject, user_id) VALUES ($1, $2, $3)
ON CONFLICT (provider, subject) DO NOTHING;

-- name: ListSealedSecondFactors :many
-- The ID of the key follows one byte of format.
SELECT id, totp_secret FROM users
WHERE totp_secret IS NOT NULL AND substring(totp_secret FROM 2 FOR 8) <> @key_id::bytea AND id > @after
ORDER BY id LIMIT @batch;

-- name: ReplaceSealedSecondFactor :exec
UPDATE users SET totp_secret = @totp_secret WHERE id = @id AND totp_secret = @old_secret;

-- name: SearchUsers :many
-- By e-mail address. Empty texts and NULL select all. Relies on the unique index over
-- email and on the primary keys of user_identities and team_members.
SELECT u.* FROM users u WHERE u.email > @after
    AND (@email::text = '' OR u.email = @email)
    AND (@provider::text = '' OR EXISTS (SELECT FROM user_identities i
        WHERE i.provider = @provider AND (@subject::text = '' OR i.subject = @subject) AND i.user_id = u.id))
    AND (sqlc.narg(team_id)::uuid IS NULL OR EXISTS (SELECT FROM team_members m WHERE m.team_id = sqlc.narg(team_id) AND m.user_id = u.id))
    AND (sqlc.narg(disabled)::boolean IS NULL OR (u.disabled_at IS NOT NULL) = sqlc.narg(disabled))
ORDER BY u.email LIMIT @page_size OFFSET @skip;

-- name: CountUsers :one
-- Of what SearchUsers selects, from the first.
SELECT count(*) FROM users u WHERE (@email::text = '' OR u.email = @email)
    AND (@provider::text = '' OR EXISTS (SELECT FROM user_identities i
        WHERE i.provider = @provider AND (@subject::text = '' OR i.subject = @subject) AND i.user_id = u.id))
    AND (sqlc.narg(team_id)::uuid IS NULL OR EXISTS (SELECT FROM team_members m WHERE m.team_id = sqlc.narg(team_id) AND m.user_id = u.id))
    AND (sqlc.narg(disabled)::boolean IS NULL OR (u.disabled_at IS NOT NULL) = sqlc.narg(disabled));

-- name: ListIdentities :many
-- Relies on user_identities_by_user.
SELECT provider, subject FROM user_identities WHERE user_id = $1 ORDER BY provider, subject;

-- name: SetUserEmail :exec
UPDATE users SET email = $2 WHERE id = $1;

-- name: DeleteUser :exec
-- With the user's credentials. What the user made is kept, without its maker.
DELETE FROM users WHERE id = $1;

-- name: SetUserDisabled :exec
-- A user who is disabled already keeps the time.
UPDATE users SET disabled_at = CASE WHEN @disabled::boolean THEN COALESCE(disabled_at, now()) END WHERE id = @id;

-- name: SetPlatformAdmin :exec
UPDATE users SET platform_admin = @platform_admin WHERE id = @id;

-- name: CountPlatformAdmins :one
SELECT count(*) FROM users WHERE platform_admin AND disabled_at IS NULL;
