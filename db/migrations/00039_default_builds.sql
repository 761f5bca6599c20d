-- +goose Up
-- A build that was made under a tag of its own does not take the place of the
-- template's default one.
ALTER TABLE template_builds ADD COLUMN made_default boolean NOT NULL DEFAULT true;

CREATE OR REPLACE VIEW template_tag_history AS
SELECT a.id, a.template_id, a.tag, a.assigned_at, b.id AS build_id, b.created_at AS build_created_at, b.finished_at AS build_finished_at
FROM template_tag_assignments a
JOIN template_builds b ON b.id = a.build_id AND b.status = 'ready'
UNION ALL
SELECT b.id, b.template_id, 'default', b.created_at, b.id, b.created_at, b.finished_at
FROM template_builds b
WHERE b.status = 'ready' AND b.made_default;

-- +goose Down
CREATE OR REPLACE VIEW template_tag_history AS
SELECT a.id, a.template_id, a.tag, a.assigned_at, b.id AS build_id, b.created_at AS build_created_at, b.finished_at AS build_finished_at
FROM template_tag_assignments a
JOIN template_builds b ON b.id = a.build_id AND b.status = 'ready'
UNION ALL
SELECT b.id, b.template_id, 'default', b.created_at, b.id, b.created_at, b.finished_at
FROM template_builds b
WHERE b.status = 'ready';
ALTER TABLE template_builds DROP COLUMN made_default;
