-- name: CreateSandbox :one
INSERT INTO sandboxes (id, team_id, host_id, template_id, alias, build_id, state, claimant, end_at, auto_pause,
    allow_internet_access, network, metadata, vcpu_count, memory_mib, disk_mib, envd_version, auto_pause_memory, auto_resume,
    forked_from, secure, iam_tokens)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
RETURNING *;

-- name: GetSandbox :one
SELECT * FROM sandboxes WHERE id = $1;

-- name: GetSandboxWithEpoch :one
-- With what its tokens are derived from besides itself.
SELECT sqlc.embed(s), t.token_epoch AS team_epoch
FROM sandboxes s JOIN teams t ON t.id = s.team_id WHERE s.id = $1;

-- name: RaiseSandboxTokenEpoch :one
-- Revokes the tokens of one sandbox.
UPDATE sandboxes SET token_epoch = token_epoch + 1
WHERE id = @id AND team_id = @team_id AND state NOT IN ('killed', 'failed')
RETURNING *;

-- name: BeginTransition :one
-- Claims a sandbox by compare and set on its state. The row lock lasts for this
-- statement only.
UPDATE sandboxes SET state = @next_state, version = version + 1, claimant = @claimant, state_changed_at = now()
WHERE id = @id AND team_id = @team_id AND state = ANY (@from_states::text[])
RETURNING *;

-- name: Transition :one
-- Compare and set on the version: whoever read an older one has lost.
UPDATE sandboxes SET state = @next_state, version = version + 1, claimant = 0, state_changed_at = now(), reason = @reason,
    guest_unresponsive = @guest_unresponsive,
    ended_at = CASE WHEN @next_state IN ('killed', 'failed') THEN now() ELSE ended_at END
WHERE id = @id AND version = @version
RETURNING *;

-- name: StartRunning :one
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

-- name: ExtendEnd :one
UPDATE sandboxes SET end_at = greatest(end_at, now() + @lifetime::interval)
WHERE id = @id AND team_id = @team_id AND state = 'running'
RETURNING *;

-- name: SetWithoutMemory :exec
-- What a pause under way will keep, for whoever holds the claim.
UPDATE sandboxes SET without_memory = @without_memory WHERE id = @id AND version = @version;

-- name: SetNetwork :one
UPDATE sandboxes SET network = @network, allow_internet_access = @allow_internet_access
WHERE id = @id AND state IN ('running', 'pausing', 'paused', 'resuming')
RETURNING *;

-- name: PostponeEnd :exec
UPDATE sandboxes SET end_at = now() + @delay::interval WHERE id = @id AND state = 'running';

-- name: ClaimExpired :many
-- Served by the index sandboxes_by_end. SKIP LOCKED lets replicas share the work.
-- The reason says why even where somebody else comes to finish the kill.
UPDATE sandboxes SET state = CASE WHEN auto_pause THEN 'pausing' ELSE 'killing' END,
    reason = CASE WHEN auto_pause THEN reason ELSE 'its time was over' END,
    version = version + 1, claimant = @claimant, state_changed_at = now()
WHERE id IN (
    SELECT s.id FROM sandboxes s WHERE s.state = 'running' AND s.end_at <= now()
    ORDER BY s.end_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: ClaimRunning :many
-- All that runs on a host, to pause it.
UPDATE sandboxes SET state = 'pausing', version = version + 1, claimant = @claimant, state_changed_at = now()
WHERE host_id = @host_id AND state = 'running'
RETURNING *;

-- name: ListOnHost :many
-- Served by the index sandboxes_by_host. abandoned says that whoever claimed an
-- unsettled sandbox has released it, has died (its advisory lock is gone), or has
-- taken longer than any operation may. Whoever asks lives.
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
