-- name: ListTeamMetrics :many
-- How many sandboxes ran at each moment, and how many began to since the one
-- before. Served by the index usage_intervals_by_team.
SELECT p.at::timestamptz AS at,
    (SELECT count(*) FROM usage_intervals u WHERE u.team_id = @team_id AND u.started_at <= p.at
        AND coalesce(u.ended_at, 'infinity'::timestamptz) > p.at)::integer AS concurrent,
    (SELECT count(*) FROM usage_intervals u WHERE u.team_id = @team_id AND u.started_at > p.at - @step::interval AND u.started_at <= p.at
        AND coalesce(u.ended_at, 'infinity'::timestamptz) > p.at - @step::interval)::integer AS started
FROM generate_series(@start_at::timestamptz, @end_at::timestamptz, @step::interval) AS p(at)
ORDER BY 1;

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
