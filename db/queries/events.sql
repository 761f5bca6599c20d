-- name: RecordEvent :exec
-- The trigger events_order sets the ID.
INSERT INTO events (id, team_id, type, resource_id, data) VALUES (0, @team_id, @type, @resource_id, @data);

-- name: RecordSandboxEvent :exec
-- How a sandbox is that this transaction has inserted or updated: the row then has its
-- ID in xmin. It tells of none that a compare and set before it has missed.
INSERT INTO events (id, team_id, type, resource_id, data)
SELECT 0, s.team_id, @type, s.id, jsonb_build_object(
    'state', s.state, 'reason', s.reason, 'templateID', s.template_id, 'buildID', s.build_id,
    'alias', s.alias, 'metadata', s.metadata, 'vcpuCount', s.vcpu_count, 'memoryMB', s.memory_mib,
    'startedAt', s.started_at, 'endAt', s.end_at)
FROM sandboxes s WHERE s.id = @id AND s.xmin = pg_current_xact_id()::xid;

-- name: RecordForkEvent :exec
-- As RecordSandboxEvent, for the sandbox that this one began as.
INSERT INTO events (id, team_id, type, resource_id, data)
SELECT 0, s.team_id, @type, s.forked_from, jsonb_build_object('forkID', s.id)
FROM sandboxes s WHERE s.id = @id AND s.xmin = pg_current_xact_id()::xid;

-- name: CurrentSnapshot :one
-- What is visible now, for EventsSince.
SELECT CAST(pg_current_snapshot() AS text) AS snapshot;

-- name: EventsSince :many
-- The events that were not visible in a snapshot and are now. Served by
-- events_by_transaction.
SELECT id, team_id, type, resource_id, data, at FROM events
WHERE transaction_id >= pg_snapshot_xmin(CAST(CAST(@snapshot AS text) AS pg_snapshot))
    AND NOT pg_visible_in_snapshot(transaction_id, CAST(CAST(@snapshot AS text) AS pg_snapshot))
ORDER BY id;

-- name: ListEvents :many
-- Served by events_by_team, or by events_by_resource for one resource. A type is
-- a whole name or, such as sandbox.*, all of a kind.
SELECT id, team_id, type, resource_id, data, at FROM events
WHERE team_id = @team_id AND id > @after
    AND (cardinality(@types::text[]) = 0 OR type = ANY (@types::text[]) OR split_part(type, '.', 1) || '.*' = ANY (@types::text[]))
    AND split_part(type, '.', 1) <> ALL (@hidden_kinds::text[])
    AND (@resource_id::text = '' OR resource_id = @resource_id::text)
ORDER BY id LIMIT @page_size;

-- name: LatestEvent :one
-- 0 where there is none.
SELECT coalesce(max(id), 0)::bigint FROM events WHERE team_id = @team_id;

-- name: OldestEvent :one
-- Of all teams; the next ID where there is none.
SELECT coalesce((SELECT min(id) FROM events), pg_sequence_last_value('event_ids'::regclass) + 1, 1)::bigint;

-- name: DeleteOldEvents :execrows
-- In batches, so that no statement takes long.
DELETE FROM events WHERE id IN (SELECT e.id FROM events e WHERE e.at < @before AND e.dispatched LIMIT @batch);

-- name: TakeEventsToDispatch :many
-- Served by events_to_dispatch. SKIP LOCKED lets replicas share the work.
SELECT id, team_id, type, resource_id, data, at FROM events
WHERE NOT dispatched ORDER BY id LIMIT @batch FOR UPDATE SKIP LOCKED;

-- name: MarkDispatched :exec
UPDATE events SET dispatched = true WHERE id = ANY (@ids::bigint[]);
