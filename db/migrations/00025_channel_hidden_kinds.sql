-- +goose Up

-- Kinds of events, such as secret, that whoever said last where a channel leads
-- may not read. The channel does not tell of them.
ALTER TABLE channels ADD COLUMN hidden_kinds text[] NOT NULL DEFAULT '{}';

-- +goose Down

ALTER TABLE channels DROP COLUMN hidden_kinds;
