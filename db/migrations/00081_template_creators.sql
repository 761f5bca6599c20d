-- +goose Up

-- The user who requested the first build, or who made the API key that did; NULL where
-- that is not known.
ALTER TABLE templates ADD COLUMN created_by uuid REFERENCES users ON DELETE SET NULL;

-- +goose Down

ALTER TABLE templates DROP COLUMN created_by;
