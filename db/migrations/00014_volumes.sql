-- +goose Up

-- A team's directory that outlives sandboxes. It lies with one host. A volume that
-- is being deleted is there until its host has deleted what was in it.
CREATE TABLE volumes (
    id         text        PRIMARY KEY CHECK (id ~ '^[a-z0-9]{8,40}$'),
    team_id    uuid        NOT NULL REFERENCES teams (id),
    host_id    uuid        NOT NULL REFERENCES hosts (id),
    name       text        NOT NULL,
    deleting   boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (team_id, name)
);

-- The volumes that a sandbox mounts, and where.
ALTER TABLE sandboxes ADD COLUMN volume_mounts jsonb NOT NULL DEFAULT '[]';
CREATE INDEX sandboxes_by_volume ON sandboxes USING gin (volume_mounts jsonb_path_ops)
    WHERE volume_mounts <> '[]' AND state NOT IN ('killed', 'failed');

-- +goose Down

DROP INDEX sandboxes_by_volume;
ALTER TABLE sandboxes DROP COLUMN volume_mounts;
DROP TABLE volumes;
