-- name: EnsureTeam :one
INSERT INTO teams (id, slug, name) VALUES ($1, $2, $3)
ON CONFLICT (slug) DO UPDATE SET slug = EXCLUDED.slug
RETURNING *;

-- name: CreateTeam :one
INSERT INTO teams (id, slug, name) VALUES ($1, $2, $3) RETURNING *;

-- name: GetTeam :one
SELECT * FROM teams WHERE id = $1;

-- name: GetTokenEpoch :one
SELECT token_epoch FROM teams WHERE id = $1;

-- name: RaiseTokenEpoch :execrows
-- Revokes the tokens of all that a team has.
UPDATE teams SET token_epoch = token_epoch + 1 WHERE id = $1;

-- name: RaiseTokenEpochsOf :exec
-- Revokes the tokens that a user, or a key that the user made, may have read. The
-- rows are locked in one order, so that two such changes do not wait for each other.
UPDATE teams SET token_epoch = token_epoch + 1 WHERE id IN (
    SELECT t.id FROM teams t WHERE t.id IN (
        SELECT m.team_id FROM team_members m WHERE m.user_id = @user_id
        UNION ALL
        SELECT k.team_id FROM api_keys k WHERE k.created_by = @user_id AND k.revoked_at IS NULL
    ) ORDER BY t.id FOR NO KEY UPDATE
);

-- name: FindTeamBySlug :one
SELECT * FROM teams WHERE slug = $1;

-- name: LockTeam :one
-- Serialises changes of the team's members.
SELECT id FROM teams WHERE id = $1 FOR UPDATE;

-- name: CountOfTeam :one
-- What a team has on hosts.
SELECT (SELECT count(*) FROM sandboxes s WHERE s.team_id = @team_id AND s.state IN ('creating', 'running', 'pausing', 'resuming', 'killing')) AS running,
    (SELECT count(*) FROM sandboxes s WHERE s.team_id = @team_id AND s.state IN ('paused', 'broken')) AS paused,
    (SELECT count(*) FROM volumes v WHERE v.team_id = @team_id) AS volumes,
    (SELECT count(*) FROM templates t WHERE t.team_id = @team_id AND t.snapshot_of IS NOT NULL) AS snapshots,
    (SELECT count(*) FROM templates t WHERE t.team_id = @team_id AND t.snapshot_of IS NULL) AS templates;

-- name: DeleteSandboxesOfTeam :exec
-- The rows of sandboxes that have ended.
DELETE FROM sandboxes WHERE team_id = $1 AND state IN ('killed', 'failed');

-- name: DeleteTeam :exec
-- Members, keys, secrets and all else that belongs to it go with it.
DELETE FROM teams WHERE id = $1;

-- name: SearchTeams :many
-- By name and ID. An empty name selects all.
SELECT * FROM teams WHERE @name::text = '' OR name = @name
ORDER BY name, id LIMIT @page_size OFFSET @skip;

-- name: CountTeams :one
-- Of what SearchTeams selects.
SELECT count(*) FROM teams WHERE @name::text = '' OR name = @name;

-- name: RenameTeam :one
UPDATE teams SET name = $2 WHERE id = $1 RETURNING *;

-- name: ListTeams :many
-- All, by ID, after one.
SELECT * FROM teams WHERE id > @after_id::uuid ORDER BY id LIMIT @page_size;

-- name: ChangeTeam :one
-- What is NULL stays. old holds the row as it was, so that a change to what is already is
-- seen to be none.
WITH old AS (SELECT o.id, o.name, o.isolation FROM teams o WHERE o.id = @id FOR NO KEY UPDATE)
UPDATE teams t SET name = coalesce(sqlc.narg(name), t.name), isolation = coalesce(sqlc.narg(isolation)::text, t.isolation)
FROM old WHERE t.id = old.id
RETURNING sqlc.embed(t), (old.name <> t.name OR old.isolation <> t.isolation)::boolean AS changed;

-- name: ListTeamsOfUser :many
-- The first is the one of requests that name none. Relies on team_members_by_user.
SELECT sqlc.embed(t), m.role, m.created_at AS joined_at FROM team_members m JOIN teams t ON t.id = m.team_id
WHERE m.user_id = $1 ORDER BY m.created_at, t.id;

-- name: FindMembership :one
-- Without a team: the user's first one.
SELECT team_id, role FROM team_members
WHERE user_id = @user_id AND (sqlc.narg(team_id)::uuid IS NULL OR team_id = sqlc.narg(team_id))
ORDER BY created_at, team_id LIMIT 1;

-- name: AddMember :execrows
-- No row: the user is a member already and keeps the role.
INSERT INTO team_members (team_id, user_id, role) VALUES ($1, $2, $3)
ON CONFLICT (team_id, user_id) DO NOTHING;

-- name: ListMembers :many
SELECT m.user_id, u.email, u.name, m.role, m.created_at, (u.totp_confirmed_at IS NOT NULL)::boolean AS has_second_factor
FROM team_members m JOIN users u ON u.id = m.user_id
WHERE m.team_id = $1 ORDER BY m.created_at, m.user_id;

-- name: SetMemberRole :execrows
UPDATE team_members SET role = $3 WHERE team_id = $1 AND user_id = $2;

-- name: RemoveMember :one
DELETE FROM team_members WHERE team_id = $1 AND user_id = $2 RETURNING role;

-- name: CountOwners :one
SELECT count(*) FROM team_members WHERE team_id = $1 AND role = 'owner';

-- name: GetTeamIsolation :one
SELECT isolation FROM teams WHERE id = $1;
