-- +goose Up

-- What a paused sandbox was paused with has a guest agent that did not answer: it can
-- only be booted from its disk.
ALTER TABLE sandboxes ADD COLUMN guest_unresponsive boolean NOT NULL DEFAULT false;

-- +goose Down

ALTER TABLE sandboxes DROP COLUMN guest_unresponsive;
