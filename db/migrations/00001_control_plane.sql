-- +goose Up

CREATE TABLE teams (
    id         uuid        PRIMARY KEY,
    slug       text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A key itself is never stored: only its SHA-256 and the parts that a list may show.
CREATE TABLE api_keys (
    id            uuid        PRIMARY KEY,
    team_id       uuid        NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name          text        NOT NULL,
    key_hash      bytea       NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    key_prefix    text        NOT NULL,
    value_length  integer     NOT NULL,
    masked_prefix text        NOT NULL,
    masked_suffix text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
CREATE INDEX api_keys_by_team ON api_keys (team_id, created_at DESC, id DESC);

CREATE TABLE hosts (
    id                 uuid        PRIMARY KEY,
    name               text        NOT NULL UNIQUE,
    version            text        NOT NULL DEFAULT '',
    driver             text        NOT NULL DEFAULT '',
    accelerator        text        NOT NULL DEFAULT '',
    cpu_count          integer     NOT NULL DEFAULT 0,
    memory_total_bytes bigint      NOT NULL DEFAULT 0,
    disk_total_bytes   bigint      NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT now(),
    last_seen_at       timestamptz
);

-- A template without a team belongs to the installation.
CREATE TABLE templates (
    id              text        PRIMARY KEY,
    team_id         uuid        REFERENCES teams (id) ON DELETE CASCADE,
    public          boolean     NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    last_spawned_at timestamptz,
    spawn_count     bigint      NOT NULL DEFAULT 0
);
CREATE INDEX templates_by_team ON templates (team_id, created_at DESC, id DESC);

CREATE TABLE template_aliases (
    alias       text NOT NULL,
    team_id     uuid REFERENCES teams (id) ON DELETE CASCADE,
    template_id text NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (alias, team_id)
);
CREATE INDEX template_aliases_by_template ON template_aliases (template_id);

CREATE TABLE template_builds (
    id           uuid        PRIMARY KEY,
    template_id  text        NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    status       text        NOT NULL CHECK (status IN ('building', 'waiting', 'ready', 'error')),
    vcpu_count   integer     NOT NULL,
    memory_mib   integer     NOT NULL,
    disk_mib     integer     NOT NULL,
    envd_version text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
);
CREATE INDEX template_builds_by_template ON template_builds (template_id, created_at DESC);

-- Which builds a host can start now.
CREATE TABLE host_builds (
    host_id  uuid NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    build_id uuid NOT NULL REFERENCES template_builds (id) ON DELETE CASCADE,
    PRIMARY KEY (host_id, build_id)
);

-- state changes only by compare and set on state or version; version grows with
-- each change. claimant is the advisory lock of the control plane that works on
-- an unsettled sandbox, 0 when nobody does.
CREATE TABLE sandboxes (
    id                    text        PRIMARY KEY CHECK (id ~ '^[a-z0-9]{8,40}$'),
    team_id               uuid        NOT NULL REFERENCES teams (id),
    host_id               uuid        NOT NULL REFERENCES hosts (id),
    template_id           text        NOT NULL,
    alias                 text        NOT NULL DEFAULT '',
    build_id              uuid        NOT NULL,
    state                 text        NOT NULL CHECK (state IN
        ('creating', 'running', 'pausing', 'paused', 'resuming', 'killing', 'killed', 'failed')),
    version               bigint      NOT NULL DEFAULT 1,
    claimant              integer     NOT NULL DEFAULT 0,
    state_changed_at      timestamptz NOT NULL DEFAULT now(),
    reason                text        NOT NULL DEFAULT '',
    started_at            timestamptz NOT NULL DEFAULT now(),
    end_at                timestamptz NOT NULL,
    ended_at              timestamptz,
    auto_pause            boolean     NOT NULL,
    allow_internet_access boolean,
    network               jsonb       NOT NULL DEFAULT '{}',
    metadata              jsonb       NOT NULL DEFAULT '{}',
    vcpu_count            integer     NOT NULL,
    memory_mib            integer     NOT NULL,
    disk_mib              integer     NOT NULL,
    envd_version          text        NOT NULL
);
CREATE INDEX sandboxes_by_team ON sandboxes (team_id, started_at DESC, id DESC)
    WHERE state NOT IN ('killed', 'failed');
CREATE INDEX sandboxes_by_metadata ON sandboxes USING gin (metadata jsonb_path_ops)
    WHERE state NOT IN ('killed', 'failed');
CREATE INDEX sandboxes_by_end ON sandboxes (end_at) WHERE state = 'running';
CREATE INDEX sandboxes_by_host ON sandboxes (host_id, id) WHERE state NOT IN ('killed', 'failed');

-- A control plane holds a session's advisory lock (1467114862, claimant) as long
-- as it lives. The number is arbitrary, and the same in pkg/db.
-- +goose StatementBegin
CREATE FUNCTION claimant_alive(claimant integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT claimant <> 0 AND EXISTS (
        SELECT 1 FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND classid = 1467114862::oid AND objid = claimant::oid
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
$$;
-- +goose StatementEnd

-- +goose Down

DROP FUNCTION claimant_alive;
DROP TABLE sandboxes, host_builds, template_builds, template_aliases, templates, hosts, api_keys, teams;
