-- name: CreateVolume :one
-- On the host with the most room that takes sandboxes; none where no host is ready. It
-- is unusable until FinishVolume.
INSERT INTO volumes (id, team_id, host_id, name, max_mib, deleting)
SELECT @id::text, @team_id::uuid, h.id, @name::text, @max_mib::bigint, true
FROM hosts h JOIN host_loads l ON l.host_id = h.id
WHERE h.state = 'ready' ORDER BY l.disk_available_bytes DESC, h.id LIMIT 1
RETURNING *;

-- name: FinishVolume :one
-- Of two that race for a name one fails at the unique index.
UPDATE volumes SET deleting = false WHERE id = $1 AND deleting RETURNING *;

-- name: ListUnfinishedVolumes :many
-- Those on a host whose creation or deletion was interrupted. Younger ones may still
-- be under way.
SELECT id FROM volumes
WHERE host_id = @host_id AND deleting AND created_at < now() - @older_than::interval
ORDER BY id LIMIT @most::integer;

-- name: CountVolumes :one
SELECT count(*) AS volumes, count(*) FILTER (WHERE name = @name AND NOT deleting) > 0 AS named
FROM volumes WHERE team_id = @team_id;

-- name: ListVolumes :many
SELECT * FROM volumes WHERE team_id = $1 AND NOT deleting ORDER BY created_at, id;

-- name: GetVolume :one
SELECT * FROM volumes WHERE id = $1;

-- name: GetVolumeWithEpoch :one
-- With what its token is derived from besides itself.
SELECT sqlc.embed(v), t.token_epoch AS team_epoch
FROM volumes v JOIN teams t ON t.id = v.team_id WHERE v.id = $1;

-- name: FindVolumes :many
SELECT * FROM volumes WHERE team_id = @team_id AND name = ANY (@names::text[]) AND NOT deleting;

-- name: HoldVolumes :many
-- Until the transaction ends, none of these is deleted.
SELECT id FROM volumes WHERE id = ANY (@ids::text[]) AND NOT deleting ORDER BY id FOR SHARE;

-- name: LockVolume :one
-- No sandbox begins to mount a volume whose row is locked.
SELECT * FROM volumes WHERE id = @id AND team_id = @team_id FOR UPDATE;

-- name: ListVolumeUsers :many
-- The sandboxes that mount a volume, those that are paused too. Served by the index
-- sandboxes_by_volume.
SELECT id FROM sandboxes
WHERE volume_mounts @> jsonb_build_array(jsonb_build_object('volumeID', @volume_id::text))
    AND volume_mounts <> '[]' AND state NOT IN ('killed', 'failed')
ORDER BY id LIMIT @most::integer;

-- name: CountVolumesOnHost :one
SELECT count(*) FROM volumes WHERE host_id = $1;

-- name: DeleteVolumesOnHost :many
DELETE FROM volumes WHERE host_id = $1 RETURNING *;

-- name: SetVolumeDeleting :exec
UPDATE volumes SET deleting = true WHERE id = $1;

-- name: DeleteVolume :exec
DELETE FROM volumes WHERE id = $1;
