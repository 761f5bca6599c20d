-- Statements that change state, end_at, network or allow_internet_access are sent with
-- those that tell of it (events.sql, sandbox_logs.sql), in one transaction: pkg/store.

-- name: InsertSandbox :one
INSERT INTO sandboxes (id, team_id, host_id, template_id, alias, build_id, forked_from, state, claimant, end_at,
    auto_pause, auto_pause_memory, auto_resume, allow_internet_access, network, volume_mounts, metadata, iam_tokens,
    placement_group, vcpu_count, memory_mib, disk_mib, envd_version, secure, isolation)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
RETURNING *;

-- name: GetSandbox :one
SELECT * FROM sandboxes WHERE id = $1;

-- name: GetSandboxWithEpoch :one
-- With what its tokens are derived from besides itself.
SELECT sqlc.embed(s), t.token_epoch AS team_epoch
FROM sandboxes s JOIN teams t ON t.id = s.team_id WHERE s.id = $1;

-- name: LockSandbox :one
-- Holds a sandbox's row until the transaction ends.
SELECT * FROM sandboxes WHERE id = @id AND team_id = @team_id FOR UPDATE;

-- name: RaiseSandboxTokenEpoch :one
-- Revokes the tokens of one sandbox.
UPDATE sandboxes SET token_epoch = token_epoch + 1
WHERE id = @id AND team_id = @team_id AND state NOT IN ('killed', 'failed')
RETURNING *;

-- name: ClaimSandbox :one
-- Compare and set on the state.
UPDATE sandboxes SET state = @next_state, version = version + 1, claimant = @claimant, state_changed_at = now(),
    end_cause = @end_cause
WHERE id = @id AND team_id = @team_id AND state = @from_state
RETURNING *;

-- name: MoveSandbox :one
-- Compare and set on the version: who read an older one has lost.
UPDATE sandboxes SET state = @next_state, version = version + 1, claimant = 0, state_changed_at = now(), reason = @reason,
    end_cause = @end_cause, guest_unresponsive = @guest_unresponsive,
    ended_at = CASE WHEN @next_state IN ('killed', 'failed') THEN now() ELSE ended_at END
WHERE id = @id AND version = @version
RETURNING *;

-- name: StartSandbox :one
-- The end of a create or a resume. Compare and set on the version.
UPDATE sandboxes SET state = 'running', version = version + 1, claimant = 0, state_changed_at = now(), reason = '',
    end_at = now() + @lifetime::interval, lifetime = @lifetime::interval, without_memory = false,
    guest_unresponsive = false,
    started_at = CASE WHEN state = 'creating' THEN now() ELSE started_at END,
    auto_pause = @auto_pause, vcpu_count = @vcpu_count, memory_mib = @memory_mib, disk_mib = @disk_mib,
    envd_version = @envd_version
WHERE id = @id AND version = @version
RETURNING *;

-- name: ReleaseClaim :exec
-- Leaves a sandbox whose outcome is not known to the reconciler.
UPDATE sandboxes SET claimant = 0 WHERE id = @id AND version = @version;

-- name: SetEnd :one
UPDATE sandboxes SET end_at = now() + @lifetime::interval
WHERE id = @id AND team_id = @team_id AND state = 'running'
RETURNING *;

-- name: ExtendEnd :exec
UPDATE sandboxes SET end_at = now() + @lifetime::interval
WHERE id = @id AND team_id = @team_id AND state = 'running' AND end_at < now() + @lifetime::interval;

-- name: GetRunningFor :one
-- A sandbox that runs for at least a time from now.
SELECT * FROM sandboxes
WHERE id = @id AND team_id = @team_id AND state = 'running' AND end_at >= now() + @lifetime::interval;

-- name: SetWithoutMemory :exec
-- What a pause under way will keep, for the holder of the claim.
UPDATE sandboxes SET without_memory = @without_memory WHERE id = @id AND version = @version;

-- name: SetNetwork :exec
UPDATE sandboxes SET network = @network, allow_internet_access = @allow_internet_access
WHERE id = @id AND state IN ('running', 'pausing', 'paused', 'resuming')
    AND (network <> @network OR allow_internet_access IS DISTINCT FROM @allow_internet_access);

-- name: GetUsable :one
-- A sandbox that runs or can run again.
SELECT * FROM sandboxes WHERE id = @id AND state IN ('running', 'pausing', 'paused', 'resuming');

-- name: ClaimExpired :many
-- Served by the index sandboxes_by_end. SKIP LOCKED lets replicas share the work.
UPDATE sandboxes SET state = CASE WHEN auto_pause THEN 'pausing' ELSE 'killing' END,
    end_cause = CASE WHEN auto_pause THEN '' ELSE 'expired' END,
    version = version + 1, claimant = @claimant, state_changed_at = now()
WHERE id IN (
    SELECT s.id FROM sandboxes s WHERE s.state = 'running' AND s.end_at <= now()
    ORDER BY s.end_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: ClaimRunning :many
-- Some of what runs on a host, to pause it. Served by the index sandboxes_by_host. It
-- waits for rows that are locked: none that runs may be missed.
UPDATE sandboxes SET state = 'pausing', version = version + 1, claimant = @claimant, state_changed_at = now()
WHERE id IN (
    SELECT s.id FROM sandboxes s WHERE s.host_id = @host_id AND s.state = 'running'
    ORDER BY s.id LIMIT @batch::integer FOR UPDATE
)
RETURNING *;

-- name: ListOnHost :many
-- Served by the index sandboxes_by_host. abandoned says that the claimant of an
-- unsettled sandbox has released it, has died (its advisory lock is gone), or has
-- taken longer than any operation may. The asking one lives.
SELECT s.id, s.state, s.version,
    (s.state_changed_at < now() - interval '5 minutes'
        OR s.claimant <> @asking AND NOT claimant_alive(s.claimant))::boolean AS abandoned
FROM sandboxes s
WHERE s.host_id = @host_id AND s.state NOT IN ('killed', 'failed');

-- name: ListSandboxesNewest :many
-- Served by the index sandboxes_by_team, or sandboxes_by_metadata.
SELECT * FROM sandboxes
WHERE team_id = @team_id AND state NOT IN ('killed', 'failed') AND state = ANY (@states::text[])
    AND metadata @> @metadata_filter::jsonb
    AND started_at >= @started_after::timestamptz
    AND (@template::text = '' OR template_id = @template::text OR alias = @template::text)
    AND (started_at, id) < (@cursor_time::timestamptz, @cursor_id::text)
ORDER BY started_at DESC, id DESC
LIMIT @page_size::integer;

-- name: ListSandboxesOldest :many
-- Served by the index sandboxes_by_team read backwards, or sandboxes_by_metadata.
SELECT * FROM sandboxes
WHERE team_id = @team_id AND state NOT IN ('killed', 'failed') AND state = ANY (@states::text[])
    AND metadata @> @metadata_filter::jsonb
    AND started_at >= @started_after::timestamptz
    AND (@template::text = '' OR template_id = @template::text OR alias = @template::text)
    AND (started_at, id) > (@cursor_time::timestamptz, @cursor_id::text)
ORDER BY started_at, id
LIMIT @page_size::integer;

-- name: CountRunning :one
SELECT count(*) FROM sandboxes
WHERE team_id = @team_id AND state IN ('running', 'pausing')
    AND metadata @> @metadata_filter::jsonb
    AND started_at >= @started_after::timestamptz
    AND (@template::text = '' OR template_id = @template::text OR alias = @template::text);

-- name: CountRunningByTeam :many
SELECT team_id, count(*) AS running FROM sandboxes WHERE state = 'running' GROUP BY team_id;

-- name: CountOnHost :one
SELECT count(*) FROM sandboxes WHERE host_id = @host_id AND state NOT IN ('killed', 'failed');

-- name: HostHasGroup :one
SELECT EXISTS (
    SELECT 1 FROM sandboxes s WHERE s.host_id = @host_id AND s.placement_group = @placement_group AND s.occupies
);
