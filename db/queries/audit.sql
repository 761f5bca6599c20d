-- name: AppendAudit :exec
INSERT INTO audit_entries (at, team_id, actor_kind, actor_id, actor_name, action, resource_kind, resource_id,
    outcome, status, address, user_agent, request_id, details)
VALUES (now(), @team_id, @actor_kind, @actor_id, @actor_name, @action, @resource_kind, @resource_id,
    @outcome, @status, @address, @user_agent, @request_id, @details);

-- name: ListAudit :many
-- Newest first. Served by audit_entries_by_team, _by_resource or _by_actor. An action is
-- a whole name or, as sandbox.*, all of a kind.
SELECT * FROM audit_entries
WHERE team_id = @team_id AND id < @before_id
    AND (@actor_id::text = '' OR actor_id = @actor_id::text)
    AND (@action::text = '' OR action = @action::text OR split_part(action, '.', 1) || '.*' = @action::text)
    AND (@resource_id::text = '' OR resource_id = @resource_id::text)
    AND (@outcome::text = '' OR outcome = @outcome::text)
    AND at >= @since AND at < @until
ORDER BY id DESC LIMIT @page_size;

-- name: DeleteOldAudit :execrows
-- The trigger audit_entries_keep refuses to delete young entries.
DELETE FROM audit_entries WHERE id IN (SELECT a.id FROM audit_entries a WHERE a.at < @before LIMIT @batch);
