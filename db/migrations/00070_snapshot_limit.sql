-- +goose Up

-- How many snapshots a team may have, counting each build; NULL is without limit.
ALTER TABLE team_limits ADD COLUMN max_snapshots integer CHECK (max_snapshots >= 0);

-- +goose Down

ALTER TABLE team_limits DROP COLUMN max_snapshots;
