-- +goose Up
-- Every time that a tag was given to a build, while template_tags has which build
-- has it now.
CREATE TABLE template_tag_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    template_id text NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    tag text NOT NULL,
    build_id uuid NOT NULL REFERENCES template_builds (id) ON DELETE CASCADE,
    assigned_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX template_tag_assignments_by_tag ON template_tag_assignments (template_id, tag, assigned_at DESC);
CREATE INDEX template_tag_assignments_by_build ON template_tag_assignments (build_id);
INSERT INTO template_tag_assignments (template_id, tag, build_id, assigned_at)
SELECT template_id, tag, build_id, created_at FROM template_tags;

-- What is told of tags: of builds that are ready, each of which had "default" when
-- it was made.
CREATE VIEW template_tag_history AS
SELECT a.id, a.template_id, a.tag, a.assigned_at, b.id AS build_id, b.created_at AS build_created_at, b.finished_at AS build_finished_at
FROM template_tag_assignments a
JOIN template_builds b ON b.id = a.build_id AND b.status = 'ready'
UNION ALL
SELECT b.id, b.template_id, 'default', b.created_at, b.id, b.created_at, b.finished_at
FROM template_builds b
WHERE b.status = 'ready';

-- +goose Down
DROP VIEW template_tag_history;
DROP TABLE template_tag_assignments;
