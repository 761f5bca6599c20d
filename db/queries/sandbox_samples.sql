-- name: InsertSamples :exec
-- Replicas may sample the same second: the first one counts. Samples of a sandbox
-- that is not stored are left out.
INSERT INTO sandbox_samples (sandbox_id, at, cpu_count, cpu_used_pct, mem_used, mem_total, mem_cache, disk_used, disk_total)
SELECT n.sandbox_id, n.at, n.cpu_count, n.cpu_used_pct, n.mem_used, n.mem_total, n.mem_cache, n.disk_used, n.disk_total
FROM (SELECT unnest(@sandbox_ids::text[]) AS sandbox_id, unnest(@ats::timestamptz[]) AS at,
    unnest(@cpu_counts::integer[]) AS cpu_count, unnest(@cpu_used_pcts::real[]) AS cpu_used_pct,
    unnest(@mem_used::bigint[]) AS mem_used, unnest(@mem_total::bigint[]) AS mem_total, unnest(@mem_cache::bigint[]) AS mem_cache,
    unnest(@disk_used::bigint[]) AS disk_used, unnest(@disk_total::bigint[]) AS disk_total) n
JOIN sandboxes s ON s.id = n.sandbox_id
ON CONFLICT DO NOTHING;

-- name: ListSamples :many
-- One row for each step that has samples: its last time, the mean of the
-- processors' use and the most of all else. Served by the primary key.
SELECT max(at)::timestamptz AS at, max(cpu_count)::integer AS cpu_count, avg(cpu_used_pct)::real AS cpu_used_pct,
    max(mem_used)::bigint AS mem_used, max(mem_total)::bigint AS mem_total, max(mem_cache)::bigint AS mem_cache,
    max(disk_used)::bigint AS disk_used, max(disk_total)::bigint AS disk_total
FROM sandbox_samples
WHERE sandbox_id = @sandbox_id AND at >= @start_at::timestamptz AND at <= @end_at::timestamptz
GROUP BY date_bin(@step::interval, at, 'epoch'::timestamptz)
ORDER BY 1;

-- name: LatestSamples :many
-- The last sample of each of a team's sandboxes that runs or is paused.
SELECT l.* FROM sandboxes s
JOIN LATERAL (SELECT * FROM sandbox_samples x WHERE x.sandbox_id = s.id ORDER BY x.at DESC LIMIT 1) l ON true
WHERE s.team_id = @team_id AND s.id = ANY (@sandbox_ids::text[])
    AND s.state IN ('running', 'pausing', 'paused', 'resuming');

-- name: DeleteOldSamples :exec
DELETE FROM sandbox_samples WHERE at < @before::timestamptz;
