-- name: FindPublicAlias :one
SELECT template_id FROM template_aliases WHERE alias = $1 AND team_id IS NULL;

-- name: CreateTemplate :exec
INSERT INTO templates (id, team_id, public) VALUES ($1, $2, $3);

-- name: CreateTemplateAlias :exec
-- Of two that race for an alias one fails at its unique index and tries again.
INSERT INTO template_aliases (alias, team_id, template_id) VALUES ($1, $2, $3);

-- name: UpsertReadyBuild :exec
INSERT INTO template_builds (id, template_id, status, vcpu_count, memory_mib, disk_mib, envd_version, finished_at)
VALUES ($1, $2, 'ready', $3, $4, $5, $6, now())
ON CONFLICT (id) DO UPDATE SET envd_version = EXCLUDED.envd_version, updated_at = now()
    WHERE template_builds.envd_version <> EXCLUDED.envd_version;

-- name: FindStartableBuild :one
-- The newest build, by template ID or alias, that a host has and the team may
-- use. A team's own alias comes before a public one, and what can be started now
-- before what a host has that is away.
SELECT t.id AS template_id, coalesce(a.alias, '')::text AS alias, b.id AS build_id,
    b.vcpu_count, b.memory_mib, b.disk_mib, b.envd_version
FROM templates t
JOIN template_builds b ON b.template_id = t.id AND b.status = 'ready'
LEFT JOIN template_aliases a ON a.template_id = t.id
WHERE (t.id = @name::text OR a.alias = @name::text)
    AND (t.team_id = @team_id::uuid OR t.public)
    AND (a.team_id IS NULL OR a.team_id = @team_id::uuid OR t.id = @name::text)
    AND EXISTS (SELECT FROM host_builds x JOIN hosts h ON h.id = x.host_id WHERE x.build_id = b.id AND h.state <> 'retired')
ORDER BY (t.team_id IS NOT NULL AND t.team_id = @team_id::uuid) DESC,
    EXISTS (SELECT FROM host_builds x JOIN hosts h ON h.id = x.host_id WHERE x.build_id = b.id AND h.state = 'ready') DESC, b.created_at DESC, b.id DESC
LIMIT 1;

-- name: CountTemplateSpawn :exec
UPDATE templates SET spawn_count = spawn_count + 1, last_spawned_at = now() WHERE id = $1;

-- name: ListTemplates :many
-- Newest first, after a cursor; served by the index templates_by_team.
SELECT t.id, t.public, t.created_at, t.updated_at, t.last_spawned_at, t.spawn_count,
    b.id AS build_id, b.status, b.vcpu_count, b.memory_mib, b.disk_mib, b.envd_version,
    (SELECT count(*) FROM template_builds c WHERE c.template_id = t.id)::integer AS build_count,
    ARRAY(SELECT a.alias FROM template_aliases a WHERE a.template_id = t.id ORDER BY a.alias)::text[] AS aliases
FROM templates t
JOIN LATERAL (
    SELECT * FROM template_builds x WHERE x.template_id = t.id ORDER BY x.created_at DESC, x.id DESC LIMIT 1
) b ON true
WHERE (t.team_id = @team_id::uuid OR t.team_id IS NULL) AND t.snapshot_of IS NULL
    AND (t.created_at, t.id) < (@before_time::timestamptz, @before_id::text)
ORDER BY t.created_at DESC, t.id DESC
LIMIT @page_size::integer;
