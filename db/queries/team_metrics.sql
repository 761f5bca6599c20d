-- name: ListTeamMetrics :many
-- For each step that ends at one of the moments from start_at to end_at: the most
-- sandboxes that ran at once in it, exactly, and how many began to.
-- What ran on from before a step counts in it. Served by the index usage_intervals_by_team.
WITH changes AS (
    SELECT (CASE WHEN u.started_at > sqlc.arg(start_at)::timestamptz - sqlc.arg(step)::interval THEN u.started_at
            ELSE sqlc.arg(start_at)::timestamptz - sqlc.arg(step)::interval END)::timestamptz AS moment, 1 AS change,
        (u.started_at > sqlc.arg(start_at)::timestamptz - sqlc.arg(step)::interval)::integer AS started
    FROM usage_intervals u
    WHERE u.team_id = sqlc.arg(team_id) AND u.started_at <= sqlc.arg(end_at)::timestamptz
        AND coalesce(u.ended_at, 'infinity'::timestamptz) > sqlc.arg(start_at)::timestamptz - sqlc.arg(step)::interval
    UNION ALL
    SELECT u.ended_at AS moment, -1 AS change, 0 AS started FROM usage_intervals u
    WHERE u.team_id = sqlc.arg(team_id) AND u.started_at <= sqlc.arg(end_at)::timestamptz
        AND coalesce(u.ended_at, 'infinity'::timestamptz) > sqlc.arg(start_at)::timestamptz - sqlc.arg(step)::interval
        AND u.ended_at <= sqlc.arg(end_at)::timestamptz
), ends AS (
    SELECT generate_series(sqlc.arg(start_at)::timestamptz, sqlc.arg(end_at)::timestamptz, sqlc.arg(step)::interval) AS step_end
), steps AS (
    SELECT c.moment, c.change, c.started, CASE WHEN date_bin(sqlc.arg(step)::interval, c.moment, sqlc.arg(end_at)::timestamptz) = c.moment THEN c.moment
        ELSE date_bin(sqlc.arg(step)::interval, c.moment, sqlc.arg(end_at)::timestamptz) + sqlc.arg(step)::interval END AS step_end
    FROM changes c
    UNION ALL
    SELECT e.step_end - sqlc.arg(step)::interval, 0, 0, e.step_end FROM ends e
), counts AS (
    SELECT s.step_end, s.started, sum(s.change) OVER (ORDER BY s.moment) AS running FROM steps s
)
SELECT r.step_end::timestamptz AS at, max(r.running)::integer AS concurrent, sum(r.started)::integer AS started
FROM counts r WHERE r.step_end >= sqlc.arg(start_at)::timestamptz
GROUP BY r.step_end ORDER BY r.step_end;

-- name: MaxConcurrent :one
-- The first moment at which the most sandboxes ran, exactly: a sum over all
-- beginnings and ends, of which those at one moment count together.
SELECT c.at::timestamptz AS at, c.running::integer AS value FROM (
    SELECT e.at, sum(e.change) OVER (ORDER BY e.at) AS running FROM (
        SELECT greatest(u.started_at, @start_at::timestamptz) AS at, 1 AS change FROM usage_intervals u
        WHERE u.team_id = @team_id AND u.started_at <= @end_at::timestamptz
            AND coalesce(u.ended_at, 'infinity'::timestamptz) > @start_at::timestamptz
        UNION ALL
        SELECT u.ended_at, -1 FROM usage_intervals u
        WHERE u.team_id = @team_id AND coalesce(u.ended_at, 'infinity'::timestamptz) > @start_at::timestamptz
            AND u.ended_at <= @end_at::timestamptz
        UNION ALL
        SELECT @start_at::timestamptz, 0
    ) e
) c
ORDER BY c.running DESC, c.at LIMIT 1;

-- name: MaxStarts :one
-- The step in which the most sandboxes began to run.
SELECT b.at::timestamptz AS at, b.started::integer AS value FROM (
    SELECT date_bin(@step::interval, u.started_at, @start_at::timestamptz) AS at, count(*) AS started FROM usage_intervals u
    WHERE u.team_id = @team_id AND u.started_at >= @start_at::timestamptz AND u.started_at <= @end_at::timestamptz
        AND coalesce(u.ended_at, 'infinity'::timestamptz) >= @start_at::timestamptz
    GROUP BY 1
    UNION ALL SELECT @start_at::timestamptz, 0
) b
ORDER BY b.started DESC, b.at LIMIT 1;
