-- name: CreateInvitation :one
-- Replaces an invitation of the same address.
INSERT INTO team_invitations (id, team_id, email, role, token_hash, invited_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (team_id, email) DO UPDATE SET id = EXCLUDED.id, role = EXCLUDED.role, token_hash = EXCLUDED.token_hash,
    invited_by = EXCLUDED.invited_by, expires_at = EXCLUDED.expires_at, created_at = now()
RETURNING *;

-- name: ListInvitations :many
SELECT * FROM team_invitations WHERE team_id = $1 ORDER BY created_at DESC, id;

-- name: FindInvitation :one
SELECT i.id, i.email, i.role, i.team_id, t.name AS team_name FROM team_invitations i JOIN teams t ON t.id = i.team_id
WHERE i.token_hash = $1 AND i.expires_at > now();

-- name: UseInvitation :one
DELETE FROM team_invitations WHERE token_hash = $1 AND expires_at > now() RETURNING *;

-- name: UseInvitationsOf :many
-- All of an e-mail address. Relies on team_invitations_by_email.
DELETE FROM team_invitations WHERE email = $1 AND expires_at > now() RETURNING *;

-- name: DeleteInvitationsBy :exec
-- Those that a user sent for a team, or for all teams where team_id is NULL.
DELETE FROM team_invitations
WHERE invited_by = @user_id AND (sqlc.narg(team_id)::uuid IS NULL OR team_id = sqlc.narg(team_id));

-- name: DeleteInvitation :execrows
DELETE FROM team_invitations WHERE id = $1 AND team_id = $2;
