-- +goose Up

-- What a team asked to be built, beside the build's row. A build that was taken of a
-- sandbox, or that a host brought, has no row here.
CREATE TABLE build_requests (
    build_id      uuid        PRIMARY KEY REFERENCES template_builds (id) ON DELETE CASCADE,
    template_id   text        NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    team_id       uuid        NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    -- The host that has the uploads and does the work.
    host_id       uuid        NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    -- Sorted, without "default", which made_default of the build stands for.
    tags          text[]      NOT NULL DEFAULT '{}',
    min_free_disk_mib integer NOT NULL DEFAULT 0,
    -- What to do, as JSON, without what is confidential; NULL until the build is started.
    definition    jsonb,
    -- Credentials of registries and secrets of steps; NULL for none, and from the end on.
    sealed_confidential bytea,
    cancel_wanted boolean     NOT NULL DEFAULT false,
    -- The control plane that drives the build, as in sandboxes; 0 for none. Each job has
    -- the number of the turn that it was enqueued for, and a job of an earlier turn does
    -- nothing.
    claimant      integer     NOT NULL DEFAULT 0,
    turn          integer     NOT NULL DEFAULT 0,
    turn_at       timestamptz NOT NULL DEFAULT now(),
    -- How often a host was told to start it, and the last entry of the log that came
    -- from this attempt.
    attempt       integer     NOT NULL DEFAULT 0,
    log_sequence  bigint      NOT NULL DEFAULT 0,
    log_entries   bigint      NOT NULL DEFAULT 0,
    log_bytes     bigint      NOT NULL DEFAULT 0,
    -- Why it failed; '' for a build that has not failed.
    failure_cause text        NOT NULL DEFAULT '',
    failure_step  text        NOT NULL DEFAULT '',
    failure       text        NOT NULL DEFAULT '',
    image_digest  text        NOT NULL DEFAULT '',
    started_at    timestamptz
);
CREATE INDEX build_requests_by_template ON build_requests (template_id);
CREATE INDEX build_requests_by_team ON build_requests (team_id);
CREATE INDEX build_requests_by_host ON build_requests (host_id);

-- The builds that are neither ready nor failed, which are looked at every few seconds.
CREATE INDEX template_builds_unfinished ON template_builds (status) WHERE status IN ('waiting', 'building');

CREATE TABLE build_logs (
    build_id uuid        NOT NULL REFERENCES template_builds (id) ON DELETE CASCADE,
    -- Counts from 1 in the order in which entries were stored.
    number   bigint      NOT NULL,
    at       timestamptz NOT NULL,
    level    text        NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    step     text        NOT NULL,
    text     text        NOT NULL,
    PRIMARY KEY (build_id, number)
);
CREATE INDEX build_logs_by_time ON build_logs (at);

-- The times in which hosts worked on builds. Rows outlive their builds.
CREATE TABLE build_usage (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    build_id   uuid        NOT NULL,
    team_id    uuid        NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    vcpu_count integer     NOT NULL,
    memory_mib integer     NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz CHECK (ended_at >= started_at)
);
CREATE UNIQUE INDEX build_usage_open ON build_usage (build_id) WHERE ended_at IS NULL;
CREATE INDEX build_usage_by_team ON build_usage (team_id, (coalesce(ended_at, 'infinity'::timestamptz)));

-- Who may not read events of templates may not read those of builds.
UPDATE channels SET hidden_kinds = array_append(hidden_kinds, 'build')
WHERE 'template' = ANY (hidden_kinds) AND 'build' <> ALL (hidden_kinds);

-- +goose Down

UPDATE channels SET hidden_kinds = array_remove(hidden_kinds, 'build');

DROP TABLE build_usage, build_logs, build_requests;
DROP INDEX template_builds_unfinished;
