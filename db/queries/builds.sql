-- name: CreateBuildTemplate :exec
-- A template of a team, with its name. Of two that race for a name one fails at the
-- unique index over aliases.
WITH template AS (
    INSERT INTO templates (id, team_id, public, created_by) VALUES (
        @template_id, @team_id::uuid, false,
        coalesce(sqlc.narg(user_id)::uuid, (SELECT k.created_by FROM api_keys k WHERE k.id = sqlc.narg(key_id)::uuid))
    ) RETURNING templates.id
)
INSERT INTO template_aliases (alias, team_id, template_id) SELECT @alias::text, @team_id::uuid, template.id FROM template;

-- name: CreateBuildRequest :one
-- A build that waits to be started.
WITH build AS (
    INSERT INTO template_builds (id, template_id, status, made_default, vcpu_count, memory_mib, disk_mib, envd_version)
    VALUES (@build_id::uuid, @template_id, 'waiting', @made_default::boolean, @vcpu_count::integer, @memory_mib::integer, @disk_mib::integer, '')
    RETURNING *
), request AS (
    INSERT INTO build_requests (build_id, template_id, team_id, host_id, files_host_id, tags, min_free_disk_mib)
    SELECT id, template_id, @team_id::uuid, @host_id::uuid, @host_id::uuid, @tags::text[], @min_free_disk_mib::integer FROM build
)
SELECT created_at FROM build;

-- name: CountUnfinishedBuilds :one
SELECT count(*) FILTER (WHERE b.status = 'building') AS building, count(*) FILTER (WHERE b.status = 'waiting') AS waiting
FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE r.team_id = $1 AND b.status IN ('waiting', 'building');

-- name: ListWaitingBuilds :many
-- Builds of a template that were not started, the newest first.
SELECT r.build_id, r.host_id, r.tags, b.made_default FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE r.template_id = $1 AND b.status = 'waiting'
ORDER BY b.created_at DESC, b.id DESC;

-- name: LatestBuildHost :one
-- The host of a template's newest build, which has its layers.
SELECT r.host_id FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE r.template_id = $1
ORDER BY b.created_at DESC, b.id DESC LIMIT 1;

-- name: GetBuildRequest :one
SELECT sqlc.embed(r), sqlc.embed(b), h.state AS host_state, h.state_changed_at AS host_state_changed_at
FROM build_requests r JOIN template_builds b ON b.id = r.build_id JOIN hosts h ON h.id = r.host_id
WHERE r.build_id = $1;

-- name: LockBuildRequest :one
-- Holds a build until the transaction ends: its state changes under this lock only.
SELECT sqlc.embed(r), sqlc.embed(b)
FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE r.build_id = $1 FOR UPDATE OF r, b;

-- name: StartBuildRequest :exec
-- From here on the build holds room on its host.
WITH build AS (
    UPDATE template_builds b SET status = 'building', updated_at = now() WHERE b.id = @build_id
    RETURNING b.id, b.vcpu_count, b.memory_mib, b.disk_mib
)
UPDATE build_requests r SET definition = @definition, sealed_confidential = @sealed_confidential, started_at = now(), turn = 1, turn_at = now(),
    held_vcpus = build.vcpu_count, held_memory_mib = build.memory_mib, held_disk_mib = build.disk_mib
FROM build WHERE r.build_id = build.id;

-- name: ClaimBuild :execrows
-- Makes a control plane the one that drives a build. No row where another that lives
-- drives it, where the job is of an earlier turn, or where the build has ended.
UPDATE build_requests r SET claimant = @claimant, turn_at = now()
FROM template_builds b
WHERE r.build_id = @build_id AND b.id = r.build_id AND b.status = 'building' AND r.turn = @turn
    AND (r.claimant IN (0, @claimant) OR r.claimant <> ALL ((SELECT living_claimants())::integer[]));

-- name: ReleaseBuild :exec
UPDATE build_requests SET claimant = 0, turn_at = now() WHERE build_id = @build_id AND claimant = @claimant;

-- name: TurnAbandonedBuilds :many
-- Begins another turn of builds whose control plane has died, or whose job was not
-- worked on for long.
UPDATE build_requests r SET turn = r.turn + 1, turn_at = now(), claimant = 0
WHERE r.build_id IN (
    SELECT u.build_id FROM build_requests u JOIN template_builds b ON b.id = u.build_id
    WHERE b.status = 'building' AND (
        u.claimant <> 0 AND u.claimant <> ALL ((SELECT living_claimants())::integer[])
        OR u.claimant = 0 AND u.turn_at < @idle_since::timestamptz)
    ORDER BY u.build_id LIMIT 100 FOR NO KEY UPDATE OF u SKIP LOCKED
)
RETURNING r.build_id, r.turn;

-- name: ListStaleWaitingBuilds :many
SELECT r.build_id FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE b.status = 'waiting' AND b.created_at < @before::timestamptz
ORDER BY r.build_id LIMIT 100;

-- name: ListUnfinishedBuildsOfTeam :many
SELECT r.build_id FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE r.team_id = $1 AND b.status IN ('waiting', 'building')
ORDER BY b.created_at;

-- name: ListUnfinishedBuildsOfTemplate :many
SELECT r.build_id FROM build_requests r JOIN template_builds b ON b.id = r.build_id
WHERE r.template_id = $1 AND b.status IN ('waiting', 'building')
ORDER BY b.created_at;

-- name: WantBuildCancelled :exec
UPDATE build_requests SET cancel_wanted = true WHERE build_id = $1;

-- name: BeginBuildAttempt :exec
UPDATE build_requests SET attempt = attempt + 1, log_sequence = 0 WHERE build_id = $1;

-- name: UncountBuildAttempt :exec
UPDATE build_requests SET attempt = attempt - 1 WHERE build_id = $1 AND attempt > 0;

-- name: MoveBuild :exec
-- The room that it holds goes with it.
UPDATE build_requests SET host_id = @host_id, log_sequence = 0 WHERE build_id = @build_id;

-- name: SetBuildFilesHost :exec
UPDATE build_requests SET files_host_id = @host_id::uuid WHERE build_id = @build_id;

-- name: HandOverBuild :one
-- Begins another turn of a build that a control plane drives.
UPDATE build_requests r SET turn = r.turn + 1, turn_at = now(), claimant = 0
FROM template_builds b
WHERE r.build_id = @build_id AND b.id = r.build_id AND b.status = 'building' AND r.claimant = @claimant
RETURNING r.turn;

-- name: OpenBuildUsage :exec
INSERT INTO build_usage (build_id, team_id, vcpu_count, memory_mib) VALUES ($1, $2, $3, $4)
ON CONFLICT (build_id) WHERE ended_at IS NULL DO NOTHING;

-- name: CloseBuildUsage :exec
UPDATE build_usage SET ended_at = greatest(now(), started_at) WHERE build_id = $1 AND ended_at IS NULL;

-- name: SumBuildUsage :one
-- What a team's builds used in a time; see SumUsage. Served by the index
-- build_usage_by_team.
SELECT count(DISTINCT i.build_id)::bigint AS builds,
    coalesce(sum(i.vcpu_count * extract(epoch FROM least(coalesce(i.ended_at, now()), @until::timestamptz) - greatest(i.started_at, @since::timestamptz))), 0)::float8 AS vcpu_seconds,
    coalesce(sum(i.memory_mib / 1024.0 * extract(epoch FROM least(coalesce(i.ended_at, now()), @until::timestamptz) - greatest(i.started_at, @since::timestamptz))), 0)::float8 AS gib_seconds
FROM build_usage i
WHERE i.team_id = @team_id AND coalesce(i.ended_at, 'infinity'::timestamptz) > @since::timestamptz
    AND i.started_at < least(@until::timestamptz, now());

-- name: FinishBuild :exec
-- A build that is ready on its host, in one statement with where it is.
WITH build AS (
    UPDATE template_builds b SET status = 'ready', vcpu_count = @vcpu_count, memory_mib = @memory_mib, disk_mib = @disk_mib,
        envd_version = @envd_version, finished_at = now(), updated_at = now()
    WHERE b.id = @build_id RETURNING b.id, b.template_id
), host AS (
    INSERT INTO host_builds (host_id, build_id, driver, accelerator)
    SELECT @host_id::uuid, build.id, @driver::text, @accelerator::text FROM build ON CONFLICT DO NOTHING
), template AS (
    UPDATE templates t SET updated_at = now() FROM build WHERE t.id = build.template_id
)
UPDATE build_requests r SET image_digest = @image_digest, sealed_confidential = NULL, claimant = 0,
    held_vcpus = 0, held_memory_mib = 0, held_disk_mib = 0
FROM build WHERE r.build_id = build.id;

-- name: AssignBuildTags :exec
-- Gives a build its tags, but for those that a build requested later has.
WITH wanted AS (
    SELECT unnest(@tags::text[]) AS tag
    EXCEPT SELECT t.tag FROM template_tags t JOIN template_builds o ON o.id = t.build_id
    WHERE t.template_id = @template_id::text AND o.created_at > (SELECT b.created_at FROM template_builds b WHERE b.id = @build_id::uuid)
), assigned AS (
    INSERT INTO template_tags (template_id, tag, build_id) SELECT @template_id::text, tag, @build_id::uuid FROM wanted
    ON CONFLICT (template_id, tag) DO UPDATE SET build_id = EXCLUDED.build_id, created_at = now()
    RETURNING template_id, tag, build_id, created_at
)
INSERT INTO template_tag_assignments (template_id, tag, build_id, assigned_at)
SELECT template_id, tag, build_id, created_at FROM assigned;

-- name: FailBuild :exec
WITH build AS (
    UPDATE template_builds b SET status = 'error', finished_at = now(), updated_at = now() WHERE b.id = @build_id
)
UPDATE build_requests SET failure_cause = @cause, failure_step = @step, failure = @message, image_digest = @image_digest,
    sealed_confidential = NULL, claimant = 0, held_vcpus = 0, held_memory_mib = 0, held_disk_mib = 0
WHERE build_id = @build_id;

-- name: FindBaseBuild :one
-- The ready build that a template is built from: as FindStartableBuild, but of the
-- installation's templates that of a host is preferred, because each host has its own.
-- here says that the host has it; any_host is one that has it and is ready, if there is one.
SELECT b.id AS build_id, b.disk_mib,
    EXISTS (SELECT FROM host_builds x WHERE x.build_id = b.id AND x.host_id = @host_id::uuid)::boolean AS here
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
    (t.team_id IS NULL AND EXISTS (SELECT FROM host_builds x WHERE x.build_id = b.id AND x.host_id = @host_id::uuid)) DESC,
    EXISTS (SELECT FROM host_builds x JOIN hosts h ON h.id = x.host_id WHERE x.build_id = b.id AND h.state = 'ready') DESC,
    greatest(CASE WHEN b.made_default THEN b.created_at ELSE '-infinity' END, d.created_at) DESC, b.created_at DESC, b.id DESC
LIMIT 1;

-- name: InsertBuildLogs :exec
INSERT INTO build_logs (build_id, number, at, level, step, text)
SELECT @build_id::uuid, unnest(@numbers::bigint[]), unnest(@times::timestamptz[]), unnest(@levels::text[]), unnest(@steps::text[]), unnest(@texts::text[]);

-- name: CountBuildLogs :exec
UPDATE build_requests SET log_sequence = @log_sequence, log_entries = @log_entries, log_bytes = @log_bytes WHERE build_id = @build_id;

-- name: ListBuildLogsFrom :many
-- Entries of some levels in their order, after so many of them.
SELECT at, level, step, text FROM build_logs
WHERE build_id = @build_id AND level = ANY (@levels::text[])
ORDER BY number OFFSET @skipped::bigint LIMIT @page_size::integer;

-- name: ListBuildLogsForward :many
-- From a time on, the oldest first.
SELECT at, level, step, text FROM build_logs
WHERE build_id = @build_id AND level = ANY (@levels::text[]) AND at >= @since::timestamptz
ORDER BY at, number LIMIT @page_size::integer;

-- name: ListBuildLogsBackward :many
-- Until a time, the newest first.
SELECT at, level, step, text FROM build_logs
WHERE build_id = @build_id AND level = ANY (@levels::text[]) AND at <= @until::timestamptz
ORDER BY at DESC, number DESC LIMIT @page_size::integer;

-- name: ListStepWarnings :many
-- The last warnings and errors of a step, the newest first.
SELECT at, level, step, text FROM build_logs
WHERE build_id = @build_id AND step = @step AND level IN ('warn', 'error')
ORDER BY number DESC LIMIT @page_size::integer;

-- name: DeleteOldBuildLogs :execrows
-- Served by the index build_logs_by_time. Entries of a build that goes on are kept.
DELETE FROM build_logs l WHERE (l.build_id, l.number) IN (
    SELECT o.build_id, o.number FROM build_logs o JOIN template_builds b ON b.id = o.build_id
    WHERE o.at < @before::timestamptz AND b.status IN ('ready', 'error') LIMIT @batch::integer
);

-- name: ListHostsOfTemplate :many
-- Every build of a template, with each host that has it or may have it. What a retired
-- host has is lost.
SELECT p.id, p.host_id FROM (
    SELECT b.id, x.host_id FROM template_builds b JOIN host_builds x ON x.build_id = b.id WHERE b.template_id = @template_id
    UNION SELECT r.build_id, r.host_id FROM build_requests r WHERE r.template_id = @template_id AND r.attempt > 0
) p JOIN hosts h ON h.id = p.host_id AND h.state <> 'retired';

-- name: DeleteBuiltTemplate :many
DELETE FROM templates WHERE id = $1 AND snapshot_of IS NULL RETURNING id, team_id, public;

-- name: ListSealedBuilds :many
SELECT build_id::text AS id, build_id, team_id, sealed_confidential FROM build_requests
WHERE sealed_confidential IS NOT NULL AND substring(sealed_confidential FROM 2 FOR 8) <> @key_id::bytea AND build_id::text > @after::text
ORDER BY build_id::text LIMIT @batch::integer;

-- name: ReplaceSealedBuild :exec
UPDATE build_requests SET sealed_confidential = @sealed_value::bytea
WHERE build_id = @build_id AND sealed_confidential = @old_value::bytea;

-- name: GetTemplate :one
SELECT t.*, coalesce((SELECT s.slug FROM teams s WHERE s.id = t.team_id), '')::text AS team_slug,
    coalesce((SELECT u.email FROM users u WHERE u.id = t.created_by), '')::text AS creator_email,
    (SELECT count(*) FROM template_builds b WHERE b.template_id = t.id)::integer AS build_count,
    ARRAY(SELECT n.alias FROM template_aliases n WHERE n.template_id = t.id ORDER BY n.alias)::text[] AS aliases
FROM templates t WHERE t.id = $1;

-- name: AddStrayBuild :exec
INSERT INTO stray_builds (host_id, build_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: ListStrayBuilds :many
-- Those on hosts that answer, the longest ones first. stays says that the host is to have
-- the build, or is retired: what it had is lost. One that is built there again is left out
-- until it has ended.
SELECT s.host_id, s.build_id,
    (h.state = 'retired' OR EXISTS (SELECT FROM host_builds x WHERE x.host_id = s.host_id AND x.build_id = s.build_id))::boolean AS stays
FROM stray_builds s JOIN hosts h ON h.id = s.host_id
WHERE h.state IN ('ready', 'draining', 'retired') AND NOT EXISTS (
    SELECT FROM build_requests r JOIN template_builds b ON b.id = r.build_id
    WHERE r.build_id = s.build_id AND r.host_id = s.host_id AND b.status IN ('waiting', 'building'))
ORDER BY s.since LIMIT 20;

-- name: DeleteStrayBuild :exec
DELETE FROM stray_builds WHERE host_id = $1 AND build_id = $2;
