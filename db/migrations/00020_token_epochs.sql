-- +goose Up

-- The tokens of sandboxes and volumes are derived from these: to raise one makes
-- worthless what was derived from it before.
ALTER TABLE teams ADD COLUMN token_epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE sandboxes ADD COLUMN token_epoch bigint NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE sandboxes DROP COLUMN token_epoch;
ALTER TABLE teams DROP COLUMN token_epoch;
