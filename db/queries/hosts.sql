-- name: EnsureHost :one
INSERT INTO hosts (id, name) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
RETURNING *;

-- name: UpdateHost :exec
UPDATE hosts SET version = $2, driver = $3, accelerator = $4, cpu_count = $5,
    memory_total_bytes = $6, disk_total_bytes = $7, last_seen_at = now()
WHERE id = $1;

-- name: AddHostBuild :exec
INSERT INTO host_builds (host_id, build_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: RemoveOtherHostBuilds :exec
DELETE FROM host_builds WHERE host_id = $1 AND NOT (build_id = ANY (@build_ids::uuid[]));

-- name: GetHost :one
SELECT * FROM hosts WHERE id = $1;

-- name: HasSeenHost :one
SELECT EXISTS (SELECT 1 FROM hosts WHERE last_seen_at IS NOT NULL);
