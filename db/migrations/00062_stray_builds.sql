-- +goose Up

-- Builds that a host may work on, or have, although they have ended elsewhere: it was away
-- when they were to be ended.
CREATE TABLE stray_builds (
    host_id  uuid        NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    build_id uuid        NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, build_id)
);

-- +goose Down

DROP TABLE stray_builds;
