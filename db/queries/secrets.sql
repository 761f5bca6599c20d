-- name: CreateSecret :one
-- Of two that race for a name one fails at the unique constraint.
INSERT INTO secrets (id, team_id, name, sealed_value, metadata) VALUES ($1, $2, $3, $4, $5) RETURNING *;

-- name: CountSecrets :one
SELECT count(*) FROM secrets WHERE team_id = $1;

-- name: ListSecrets :many
-- Newest first. Served by secrets_by_team.
SELECT * FROM secrets
WHERE team_id = @team_id AND (created_at, id) < (@before_time::timestamptz, @before_id::text)
ORDER BY created_at DESC, id DESC LIMIT @page_size;

-- name: FindSecret :one
-- By ID or by name: no name looks like an ID.
SELECT * FROM secrets WHERE team_id = @team_id AND (id = @key::text OR name = @key::text);

-- name: LockSecret :one
SELECT * FROM secrets WHERE team_id = @team_id AND (id = @key::text OR name = @key::text) FOR UPDATE;

-- name: UpdateSecret :one
UPDATE secrets SET version = version + 1, sealed_value = @sealed_value, metadata = @metadata, updated_at = now()
WHERE id = @id RETURNING *;

-- name: DeleteSecret :one
DELETE FROM secrets WHERE team_id = @team_id AND (id = @key::text OR name = @key::text) RETURNING *;

-- name: FindSecrets :many
-- In the order in which a revision names them.
SELECT * FROM secrets WHERE team_id = @team_id AND name = ANY (@names::text[]) ORDER BY id COLLATE "C";

-- name: ListSecretUsers :many
-- The sandboxes that may hold the values of what a name stands for. One that is
-- paused asks when it resumes. Served by sandboxes_by_secret.
SELECT * FROM sandboxes
WHERE secret_names @> ARRAY[@name::text] AND secret_names <> '{}' AND state NOT IN ('killed', 'failed')
    AND team_id = @team_id AND state IN ('running', 'pausing')
ORDER BY id;

-- name: ListSecretRevisions :many
-- What each sandbox on a host should hold, in the words of a revision.
SELECT s.id, coalesce((
    SELECT string_agg(x.id || ':' || x.version, ' ' ORDER BY x.id COLLATE "C") FROM secrets x
    WHERE x.team_id = s.team_id AND x.name = ANY (s.secret_names)
), '')::text AS revision
FROM sandboxes s
WHERE s.host_id = @host_id AND s.state = 'running' AND s.secret_names <> '{}';

-- name: ListSealedSecrets :many
-- The ID of the key follows one byte of format.
SELECT id, team_id, sealed_value FROM secrets
WHERE substring(sealed_value FROM 2 FOR 8) <> @key_id::bytea AND id > @after
ORDER BY id LIMIT @batch;

-- name: ReplaceSealedSecret :exec
UPDATE secrets SET sealed_value = @sealed_value WHERE id = @id AND sealed_value = @old_value;

-- name: DeleteSecretsOfTeam :many
DELETE FROM secrets WHERE team_id = $1 RETURNING *;
