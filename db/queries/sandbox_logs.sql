-- name: AppendLog :exec
INSERT INTO sandbox_logs (sandbox_id, level, message, fields)
SELECT @sandbox_id, @level, @message, @fields
WHERE EXISTS (SELECT FROM sandboxes WHERE id = @sandbox_id);

-- name: LogStep :exec
-- One line about a sandbox that this transaction has moved (see RecordSandboxEvent).
INSERT INTO sandbox_logs (sandbox_id, level, message, fields)
SELECT s.id, @level, @message, jsonb_strip_nulls(jsonb_build_object('source', 'lifecycle', 'reason', nullif(s.reason, '')))
FROM sandboxes s WHERE s.id = @id AND s.xmin = pg_current_xact_id()::xid;

-- name: ListLogsForward :many
-- Served by the index sandbox_logs_by_sandbox.
SELECT * FROM sandbox_logs
WHERE sandbox_id = @sandbox_id AND at >= @from_time::timestamptz
    AND level = ANY (@levels::text[]) AND (@search::text = '' OR strpos(lower(message), lower(@search::text)) > 0)
ORDER BY at, id
LIMIT @page_size::integer;

-- name: ListLogsBackward :many
-- Served by the index sandbox_logs_by_sandbox read backwards.
SELECT * FROM sandbox_logs
WHERE sandbox_id = @sandbox_id AND at <= @from_time::timestamptz
    AND level = ANY (@levels::text[]) AND (@search::text = '' OR strpos(lower(message), lower(@search::text)) > 0)
ORDER BY at DESC, id DESC
LIMIT @page_size::integer;

-- name: DeleteOldLogs :exec
DELETE FROM sandbox_logs WHERE at < @before::timestamptz;
