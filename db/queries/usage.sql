-- name: LockTeamUse :one
-- Makes a team's placements take turns, so that no two pass the same limit.
INSERT INTO team_use (team_id) VALUES ($1)
ON CONFLICT (team_id) DO UPDATE SET team_id = EXCLUDED.team_id
RETURNING *;

-- name: GetTeamUse :one
SELECT * FROM team_use WHERE team_id = $1;

-- name: GetTeamLimits :one
SELECT * FROM team_limits WHERE team_id = $1;

-- name: SetTeamLimits :exec
INSERT INTO team_limits (team_id, max_sandboxes, max_vcpu_count, max_memory_mib, max_disk_mib, max_builds, max_creates_per_minute,
    max_volumes, max_volume_mib, max_secrets, max_snapshots, max_sandbox_vcpu_count, max_sandbox_memory_mib, max_sandbox_disk_mib)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (team_id) DO UPDATE SET max_sandboxes = EXCLUDED.max_sandboxes, max_vcpu_count = EXCLUDED.max_vcpu_count,
    max_memory_mib = EXCLUDED.max_memory_mib, max_disk_mib = EXCLUDED.max_disk_mib,
    max_builds = EXCLUDED.max_builds, max_creates_per_minute = EXCLUDED.max_creates_per_minute,
    max_volumes = EXCLUDED.max_volumes, max_volume_mib = EXCLUDED.max_volume_mib, max_secrets = EXCLUDED.max_secrets,
    max_snapshots = EXCLUDED.max_snapshots, max_sandbox_vcpu_count = EXCLUDED.max_sandbox_vcpu_count,
    max_sandbox_memory_mib = EXCLUDED.max_sandbox_memory_mib, max_sandbox_disk_mib = EXCLUDED.max_sandbox_disk_mib;

-- name: SpendCreates :exec
-- The caller holds the row's lock.
UPDATE team_use SET create_allowance = @create_allowance, create_refilled_at = @refilled_at WHERE team_id = @team_id;

-- name: Now :one
-- The database's own clock, the same for all control planes, after whatever was
-- waited for.
SELECT clock_timestamp()::timestamptz;

-- name: SumUsage :one
-- What a team used in a time: what began before it counts from its beginning on,
-- what goes on counts until now. Served by the index usage_intervals_by_team.
SELECT count(DISTINCT i.sandbox_id)::bigint AS sandboxes,
    coalesce(sum(i.vcpu_count * extract(epoch FROM least(coalesce(i.ended_at, now()), @until::timestamptz) - greatest(i.started_at, @since::timestamptz))), 0)::float8 AS vcpu_seconds,
    coalesce(sum(i.memory_mib / 1024.0 * extract(epoch FROM least(coalesce(i.ended_at, now()), @until::timestamptz) - greatest(i.started_at, @since::timestamptz))), 0)::float8 AS gib_seconds
FROM usage_intervals i
WHERE i.team_id = @team_id AND coalesce(i.ended_at, 'infinity'::timestamptz) > @since::timestamptz
    AND i.started_at < least(@until::timestamptz, now());
