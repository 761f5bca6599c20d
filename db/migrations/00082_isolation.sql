-- +goose Up

-- The isolation that a team demands of what starts from then on; '' is any.
ALTER TABLE teams ADD COLUMN isolation text NOT NULL DEFAULT '' CHECK (isolation IN ('', 'vm', 'gvisor'));

-- What was demanded when the sandbox was created; it holds for each of its lives.
ALTER TABLE sandboxes ADD COLUMN isolation text NOT NULL DEFAULT '' CHECK (isolation IN ('', 'vm', 'gvisor'));

-- The driver and accelerator that the host's copy of a build starts with; '' is any, as of
-- a build without memory, or not known, as of one that is older than these columns.
ALTER TABLE host_builds ADD COLUMN driver text NOT NULL DEFAULT '';
ALTER TABLE host_builds ADD COLUMN accelerator text NOT NULL DEFAULT '';

-- The builds that a host has and can start as it is now: a host whose driver was changed
-- keeps the builds that it had before.
CREATE VIEW startable_host_builds AS
SELECT b.host_id, b.build_id, h.state AS host_state, h.driver AS host_driver
FROM host_builds b JOIN hosts h ON h.id = b.host_id
WHERE b.driver = '' OR (b.driver = h.driver AND b.accelerator = h.accelerator);

-- +goose Down

DROP VIEW startable_host_builds;
ALTER TABLE host_builds DROP COLUMN accelerator, DROP COLUMN driver;
ALTER TABLE sandboxes DROP COLUMN isolation;
ALTER TABLE teams DROP COLUMN isolation;
