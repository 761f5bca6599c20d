-- name: CreateSnapshotTemplate :exec
INSERT INTO templates (id, team_id, public, snapshot_of) VALUES ($1, $2, false, $3);

-- name: CreateSnapshotBuild :exec
-- A build that is not ready is one that its host has not made yet.
INSERT INTO template_builds (id, template_id, status, vcpu_count, memory_mib, disk_mib, envd_version)
VALUES ($1, $2, 'building', $3, $4, $5, $6);

-- name: FinishSnapshotBuild :execrows
UPDATE template_builds SET status = 'ready', vcpu_count = $2, memory_mib = $3, disk_mib = $4, envd_version = $5,
    finished_at = now(), updated_at = now()
WHERE id = $1;

-- name: DeleteBuild :exec
DELETE FROM template_builds WHERE id = $1;

-- name: DeleteTemplateWithoutBuilds :exec
DELETE FROM templates t
WHERE t.id = $1 AND NOT EXISTS (SELECT FROM template_builds b WHERE b.template_id = t.id);

-- name: FindNamedSnapshot :one
-- By the team's alias or by the template's ID. snapshot_of is NULL for a template
-- that was built.
SELECT t.id, t.snapshot_of FROM templates t
LEFT JOIN template_aliases a ON a.template_id = t.id AND a.team_id = t.team_id
WHERE t.team_id = @team_id::uuid AND (t.id = @name::text OR a.alias = @name::text)
LIMIT 1;

-- name: CreateTeamAlias :exec
-- Of two that race for an alias one fails at its unique index.
INSERT INTO template_aliases (alias, team_id, template_id) VALUES (@alias, @team_id::uuid, @template_id);

-- name: ListSnapshots :many
-- Newest first, after a cursor; served by the index templates_snapshots.
SELECT t.id, t.created_at,
    ARRAY(SELECT a.alias FROM template_aliases a WHERE a.template_id = t.id ORDER BY a.alias)::text[] AS aliases
FROM templates t
WHERE t.team_id = @team_id::uuid AND t.snapshot_of IS NOT NULL
    AND (@sandbox_id::text = '' OR t.snapshot_of = @sandbox_id::text)
    AND (@name::text = '' OR t.id = @name::text
        OR EXISTS (SELECT FROM template_aliases a WHERE a.template_id = t.id AND a.alias = @name::text))
    AND EXISTS (SELECT FROM template_builds b WHERE b.template_id = t.id AND b.status = 'ready')
    AND (t.created_at, t.id) < (@before_time::timestamptz, @before_id::text)
ORDER BY t.created_at DESC, t.id DESC
LIMIT @page_size::integer;

-- name: ListSnapshotBuilds :many
-- Every build of a snapshot and a host that has it, the nil UUID where none is
-- known to.
SELECT b.id, coalesce(h.host_id, '00000000-0000-0000-0000-000000000000'::uuid)::uuid AS host_id
FROM template_builds b LEFT JOIN host_builds h ON h.build_id = b.id
WHERE b.template_id = $1;

-- name: DeleteTemplateRow :exec
DELETE FROM templates WHERE id = $1;

-- name: KnownBuild :one
SELECT EXISTS (SELECT FROM template_builds WHERE id = $1);
