-- name: CreateChannel :one
INSERT INTO channels (id, team_id, kind, name, event_types, target, sealed_config, enabled, hidden_kinds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *;

-- name: CountChannels :one
SELECT count(*) FROM channels WHERE team_id = $1;

-- name: ListChannels :many
-- Served by channels_by_team.
SELECT * FROM channels WHERE team_id = $1 ORDER BY created_at, id;

-- name: GetChannel :one
SELECT * FROM channels WHERE id = $1 AND team_id = $2;

-- name: LockChannel :one
SELECT * FROM channels WHERE id = $1 AND team_id = $2 FOR UPDATE;

-- name: UpdateChannel :one
UPDATE channels SET name = @name, event_types = @event_types, target = @target, sealed_config = @sealed_config,
    enabled = @enabled, hidden_kinds = @hidden_kinds, updated_at = now()
WHERE id = @id RETURNING *;

-- name: DeleteChannel :one
DELETE FROM channels WHERE id = $1 AND team_id = $2 RETURNING *;

-- name: DeleteChannelsOf :many
-- Those of a team that is deleted.
DELETE FROM channels WHERE team_id = $1 RETURNING *;

-- name: ListSealedChannels :many
-- The ID of the key follows one byte of format.
SELECT id, sealed_config FROM channels
WHERE substring(sealed_config FROM 2 FOR 8) <> @key_id::bytea AND id > @after
ORDER BY id LIMIT @batch;

-- name: ReplaceSealedChannel :exec
UPDATE channels SET sealed_config = @sealed_config WHERE id = @id AND sealed_config = @old_config;

-- name: FanOut :many
-- The deliveries of events to all channels that select them. A channel gets one delivery
-- of an event, even where this runs twice.
INSERT INTO channel_deliveries (id, channel_id, event_id, event, next_attempt_at)
SELECT gen_random_uuid(), c.id, e.id, jsonb_build_object('id', e.id, 'type', e.type, 'teamID', e.team_id,
    'resourceID', e.resource_id, 'at', e.at, 'data', e.data), now()
FROM events e JOIN channels c ON c.team_id = e.team_id AND c.enabled
    AND (cardinality(c.event_types) = 0 OR e.type = ANY (c.event_types) OR split_part(e.type, '.', 1) || '.*' = ANY (c.event_types))
    AND split_part(e.type, '.', 1) <> ALL (c.hidden_kinds)
WHERE e.id = ANY (@event_ids::bigint[])
ORDER BY e.id
ON CONFLICT DO NOTHING
RETURNING id;

-- name: CreateDelivery :one
INSERT INTO channel_deliveries (id, channel_id, event_id, event, next_attempt_at)
VALUES ($1, $2, $3, $4, now()) RETURNING *;

-- name: GetDelivery :one
SELECT sqlc.embed(d), sqlc.embed(c) FROM channel_deliveries d JOIN channels c ON c.id = d.channel_id WHERE d.id = $1;

-- name: ListDeliveries :many
-- Newest first. Served by channel_deliveries_by_channel.
SELECT * FROM channel_deliveries
WHERE channel_id = @channel_id AND split_part(event ->> 'type', '.', 1) <> ALL (@hidden_kinds::text[]) AND (@state::text = '' OR state = @state::text)
    AND (created_at, id) < (@before_time::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, id DESC LIMIT @page_size;

-- name: ListAttempts :many
SELECT * FROM channel_attempts WHERE delivery_id = ANY (@delivery_ids::uuid[]) ORDER BY delivery_id, number;

-- name: RedeliverDelivery :one
-- No row for one that is pending: two workers would send it.
UPDATE channel_deliveries SET state = 'pending', next_attempt_at = now(), finished_at = NULL
WHERE id = @id AND channel_id = @channel_id AND state <> 'pending'
    AND split_part(event ->> 'type', '.', 1) <> ALL (@hidden_kinds::text[]) RETURNING *;

-- name: RecordAttempt :exec
WITH delivery AS (
    UPDATE channel_deliveries SET attempt_count = attempt_count + 1, state = @state, next_attempt_at = sqlc.narg(next_attempt_at),
        finished_at = CASE WHEN @state = 'pending' THEN NULL ELSE now() END
    WHERE id = @delivery_id RETURNING attempt_count
)
INSERT INTO channel_attempts (delivery_id, number, at, duration_ms, status_code, error)
SELECT @delivery_id, attempt_count, @at, @duration_ms, @status_code, @error FROM delivery;

-- name: DeleteOldDeliveries :execrows
DELETE FROM channel_deliveries WHERE id IN (
    SELECT d.id FROM channel_deliveries d WHERE d.created_at < @before AND d.state <> 'pending' LIMIT @batch
);
