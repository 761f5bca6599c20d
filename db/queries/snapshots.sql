-- name: BeginSnapshot :exec
-- A template for the snapshot, its name if it has one, its first build, and where
-- that is about to be made, all or nothing. Of two that race for a name one fails
-- at the unique index over aliases.
WITH template AS (
    INSERT INTO templates (id, team_id, public, snapshot_of)
    VALUES (@template_id, @team_id::uuid, false, @sandbox_id::text) RETURNING id
), name AS (
    INSERT INTO template_aliases (alias, team_id, template_id)
    SELECT @alias::text, @team_id::uuid, id FROM template WHERE @alias::text <> ''
), build AS (
    INSERT INTO template_builds (id, template_id, status, made_default, vcpu_count, memory_mib, disk_mib, envd_version)
    SELECT @build_id::uuid, id, 'building', @made_default::boolean, @vcpu_count::integer, @memory_mib::integer, @disk_mib::integer, @envd_version::text FROM template
    RETURNING id
)
INSERT INTO host_builds (host_id, build_id) SELECT @host_id::uuid, id FROM build;

-- name: BeginSnapshotAgain :execrows
-- Another build of a snapshot that has a name.
WITH build AS (
    INSERT INTO template_builds (id, template_id, status, made_default, vcpu_count, memory_mib, disk_mib, envd_version)
    SELECT @build_id::uuid, t.id, 'building', @made_default::boolean, @vcpu_count::integer, @memory_mib::integer, @disk_mib::integer, @envd_version::text
    FROM templates t WHERE t.id = @template_id AND t.snapshot_of IS NOT NULL
    RETURNING id
)
INSERT INTO host_builds (host_id, build_id) SELECT @host_id::uuid, id FROM build;

-- name: CountSnapshots :one
-- Of a team, unfinished ones too. Each build of a snapshot counts. Served by templates_snapshots.
SELECT count(*) FROM templates t JOIN template_builds b ON b.template_id = t.id
WHERE t.team_id = @team_id::uuid AND t.snapshot_of IS NOT NULL;

-- name: FinishSnapshot :execrows
-- A build that is ready, and what its host's copy starts with.
WITH made AS (
    UPDATE host_builds x SET driver = @driver, accelerator = @accelerator WHERE x.build_id = @id
)
UPDATE template_builds SET status = 'ready', vcpu_count = @vcpu_count, memory_mib = @memory_mib, disk_mib = @disk_mib,
    envd_version = @envd_version, finished_at = now(), updated_at = now()
WHERE id = @id;

-- name: DeleteSnapshotBuild :many
-- The template goes with its last build, and is returned then.
WITH build AS (
    DELETE FROM template_builds b WHERE b.id = @build_id RETURNING b.id, b.template_id
)
DELETE FROM templates t USING build
WHERE t.id = build.template_id AND t.snapshot_of IS NOT NULL
    AND NOT EXISTS (SELECT FROM template_builds o WHERE o.template_id = t.id AND o.id <> build.id)
RETURNING t.id, t.team_id, t.public;

-- name: FindSnapshot :one
-- By the template's ID or by the team's name for it. snapshot_of is NULL for a
-- template that was built.
SELECT t.id, t.snapshot_of FROM templates t
LEFT JOIN template_aliases a ON a.template_id = t.id AND a.team_id = t.team_id
WHERE t.team_id = @team_id::uuid AND (t.id = @name::text OR a.alias = @name::text)
LIMIT 1;

-- name: ListSnapshots :many
-- Newest first, after a cursor; served by the index templates_snapshots. With a tag
-- those that have a ready build of that tag.
SELECT t.id, t.created_at,
    (SELECT s.slug FROM teams s WHERE s.id = t.team_id)::text AS team_slug,
    ARRAY(SELECT a.alias FROM template_aliases a WHERE a.template_id = t.id ORDER BY a.alias)::text[] AS aliases,
    ARRAY(SELECT DISTINCT h.tag FROM template_tag_history h WHERE h.template_id = t.id ORDER BY h.tag)::text[] AS tags
FROM templates t
WHERE t.team_id = @team_id::uuid AND t.snapshot_of IS NOT NULL
    AND (@sandbox_id::text = '' OR t.snapshot_of = @sandbox_id::text)
    AND (@name::text = '' OR t.id = @name::text
        OR EXISTS (SELECT FROM template_aliases a WHERE a.template_id = t.id AND a.alias = @name::text))
    AND (@team_slug::text = '' OR EXISTS (SELECT FROM teams s WHERE s.id = t.team_id AND s.slug = @team_slug::text))
    AND (@tag::text = '' OR EXISTS (SELECT FROM template_tag_history h WHERE h.template_id = t.id AND h.tag = @tag::text))
    AND EXISTS (SELECT FROM template_builds b WHERE b.template_id = t.id AND b.status = 'ready')
    AND (t.created_at, t.id) < (@before_time::timestamptz, @before_id::text)
ORDER BY t.created_at DESC, t.id DESC
LIMIT @page_size::integer;

-- name: ListSnapshotBuilds :many
-- Every build of a snapshot, with the host that has it.
SELECT b.id, h.host_id FROM template_builds b
JOIN host_builds h ON h.build_id = b.id
WHERE b.template_id = $1;

-- name: ListForgottenSnapshotBuilds :many
-- Builds that were begun longer ago than any host takes, by a control plane that has
-- died.
SELECT b.id, h.host_id FROM template_builds b
JOIN templates t ON t.id = b.template_id AND t.snapshot_of IS NOT NULL
JOIN host_builds h ON h.build_id = b.id
WHERE b.status = 'building' AND b.created_at < @before::timestamptz
LIMIT 100;

-- name: DeleteSnapshot :many
DELETE FROM templates WHERE id = $1 AND snapshot_of IS NOT NULL RETURNING id, team_id, public;
