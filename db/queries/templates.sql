-- name: FindPublicAlias :one
SELECT template_id FROM template_aliases WHERE alias = $1 AND team_id IS NULL;

-- name: CreateTemplate :exec
INSERT INTO templates (id, team_id, public) VALUES ($1, $2, $3);

-- name: CreateTemplateAlias :exec
-- Of two that race for an alias one fails at its unique index and tries again.
INSERT INTO template_aliases (alias, team_id, template_id) VALUES ($1, $2, $3);

-- name: UpsertReadyBuild :one
-- No row where nothing has changed. now() is the time of the transaction.
INSERT INTO template_builds (id, template_id, status, vcpu_count, memory_mib, disk_mib, envd_version, finished_at)
VALUES ($1, $2, 'ready', $3, $4, $5, $6, now())
ON CONFLICT (id) DO UPDATE SET envd_version = EXCLUDED.envd_version, updated_at = now()
    WHERE template_builds.envd_version <> EXCLUDED.envd_version
RETURNING (created_at = now())::boolean AS created;

-- name: FindStartableBuild :one
-- A build that a host has and the team may use, by the ID of its template, an
-- alias, or its own ID: with a tag the one that has it, else the one that was made
-- without a tag or tagged "default" last. A team's own alias comes before a public one, and what
-- a host can start now with one of some drivers, where any are named, before what none can.
SELECT t.id AS template_id, coalesce(a.alias, '')::text AS alias, b.id AS build_id,
    b.vcpu_count, b.memory_mib, b.disk_mib, b.envd_version
FROM templates t
JOIN template_builds b ON b.template_id = t.id AND b.status = 'ready'
LEFT JOIN template_aliases a ON a.template_id = t.id
LEFT JOIN template_tags d ON d.template_id = t.id AND d.build_id = b.id AND d.tag = 'default'
WHERE (t.id = @name::text OR a.alias = @name::text OR b.id = sqlc.narg(build_id)::uuid)
    AND (t.team_id = @team_id::uuid OR t.public)
    AND (@team_slug::text <> '' OR a.team_id IS NULL OR a.team_id = @team_id::uuid OR t.id = @name::text OR b.id = sqlc.narg(build_id)::uuid)
    AND (@team_slug::text = '' OR EXISTS (SELECT FROM teams s WHERE s.id = t.team_id AND s.slug = @team_slug::text))
    AND (@tag::text = '' OR b.id = sqlc.narg(tagged_build_id)::uuid
        OR EXISTS (SELECT FROM template_tags x WHERE x.template_id = t.id AND x.build_id = b.id AND x.tag = @tag::text))
    AND EXISTS (SELECT FROM host_builds x JOIN hosts h ON h.id = x.host_id WHERE x.build_id = b.id AND h.state <> 'retired')
ORDER BY (t.team_id IS NOT NULL AND t.team_id = @team_id::uuid) DESC,
    EXISTS (SELECT FROM startable_host_builds x WHERE x.build_id = b.id AND x.host_state = 'ready'
        AND (cardinality(@drivers::text[]) = 0 OR x.host_driver = ANY (@drivers::text[]))) DESC,
    greatest(CASE WHEN b.made_default THEN b.created_at ELSE '-infinity' END, d.created_at) DESC, b.created_at DESC, b.id DESC
LIMIT 1;

-- name: FindTemplate :one
-- A template that a team may use, by ID or by alias; in its own namespace, or in
-- that of the team that the slug names. The team's own comes first.
SELECT t.*, coalesce(s.slug, '')::text AS team_slug,
    ARRAY(SELECT n.alias FROM template_aliases n WHERE n.template_id = t.id ORDER BY n.alias)::text[] AS aliases
FROM templates t
LEFT JOIN teams s ON s.id = t.team_id
LEFT JOIN template_aliases a ON a.template_id = t.id AND a.alias = @name::text
WHERE (t.id = @name::text OR a.alias IS NOT NULL)
    AND (t.team_id = @team_id::uuid OR t.public)
    AND (@team_slug::text <> '' OR t.team_id IS NULL OR t.team_id = @team_id::uuid OR t.id = @name::text)
    AND (@team_slug::text = '' OR s.slug = @team_slug::text)
ORDER BY (t.team_id IS NOT NULL AND t.team_id = @team_id::uuid) DESC, t.id
LIMIT 1;

-- name: ListBuilds :many
-- Newest first, after a cursor; served by the index template_builds_by_template.
SELECT * FROM template_builds
WHERE template_id = @template_id AND (created_at, id::text) < (@before_time::timestamptz, @before_id::text)
ORDER BY created_at DESC, id::text DESC
LIMIT @page_size::integer;

-- name: GetBuild :one
SELECT * FROM template_builds WHERE id = $1 AND template_id = $2;

-- name: PublishTemplate :execrows
UPDATE templates SET public = @public, updated_at = now() WHERE id = @id AND public <> @public;

-- name: FindTaggedBuild :one
-- The ready build that a tag stands for; "default" is the one that was made without
-- a tag or tagged so last.
SELECT b.id FROM template_builds b
LEFT JOIN template_tags d ON d.template_id = b.template_id AND d.build_id = b.id AND d.tag = @tag::text
WHERE b.template_id = @template_id::text AND b.status = 'ready' AND (@tag::text = 'default' OR d.tag IS NOT NULL)
ORDER BY greatest(CASE WHEN b.made_default THEN b.created_at ELSE '-infinity' END, d.created_at) DESC, b.created_at DESC, b.id DESC
LIMIT 1;

-- name: AssignTags :exec
WITH assigned AS (
    INSERT INTO template_tags (template_id, tag, build_id)
    SELECT @template_id::text, unnest(@tags::text[]), @build_id::uuid
    ON CONFLICT (template_id, tag) DO UPDATE SET build_id = EXCLUDED.build_id, created_at = now()
    RETURNING template_id, tag, build_id, created_at
)
INSERT INTO template_tag_assignments (template_id, tag, build_id, assigned_at)
SELECT template_id, tag, build_id, created_at FROM assigned;

-- name: RemoveTags :exec
WITH removed AS (
    DELETE FROM template_tags t WHERE t.template_id = @template_id::text AND t.tag = ANY (@tags::text[])
)
DELETE FROM template_tag_assignments a WHERE a.template_id = @template_id::text AND a.tag = ANY (@tags::text[]);

-- name: ListTagGroups :many
-- A template's tags, with when each was assigned last. A template has few.
SELECT tag, max(assigned_at)::timestamptz AS assigned_at FROM template_tag_history
WHERE template_id = $1
GROUP BY tag;

-- name: ListNewestTagAssignments :many
-- The newest assignments of each of some tags.
SELECT h.tag, h.id, h.build_id, h.assigned_at, h.build_created_at, h.build_finished_at
FROM (
    SELECT *, row_number() OVER (PARTITION BY x.tag ORDER BY x.assigned_at DESC, x.id DESC) AS place
    FROM template_tag_history x
    WHERE x.template_id = @template_id AND x.tag = ANY (@tags::text[])
) h
WHERE h.place <= @per_tag::bigint
ORDER BY h.tag, h.assigned_at DESC, h.id DESC;

-- name: ListTagAssignments :many
-- A tag's assignments, newest first, after a cursor.
SELECT id, build_id, assigned_at, build_created_at, build_finished_at FROM template_tag_history
WHERE template_id = @template_id AND tag = @tag
    AND (assigned_at, id::text) < (@before_time::timestamptz, @before_id::text)
ORDER BY assigned_at DESC, id::text DESC
LIMIT @page_size::integer;

-- name: ListTags :many
SELECT * FROM template_tags WHERE template_id = $1 ORDER BY created_at DESC, tag;

-- name: CountTemplateSpawn :exec
-- Counts the create of a sandbox that this transaction has updated (RecordSandboxEvent).
UPDATE templates t SET spawn_count = t.spawn_count + 1, last_spawned_at = now()
FROM sandboxes s WHERE s.id = @sandbox_id AND s.xmin = pg_current_xact_id()::xid AND t.id = s.template_id;

-- name: ListTemplates :many
-- Newest first, after a cursor; served by the index templates_by_team.
SELECT t.id, t.team_id, t.public, t.created_at, t.updated_at, t.last_spawned_at, t.spawn_count, t.created_by,
    coalesce((SELECT u.email FROM users u WHERE u.id = t.created_by), '')::text AS creator_email,
    coalesce((SELECT s.slug FROM teams s WHERE s.id = t.team_id), '')::text AS team_slug,
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
