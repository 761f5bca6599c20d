-- +goose Up
-- Names such as "v1" and "stable" for builds of one template: a tag outlives the
-- build that had it before, so it cannot be a column of builds.
CREATE TABLE template_tags (
    template_id text NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    tag text NOT NULL,
    build_id uuid NOT NULL REFERENCES template_builds (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (template_id, tag)
);
CREATE INDEX template_tags_by_build ON template_tags (build_id);

-- +goose Down
DROP TABLE template_tags;
