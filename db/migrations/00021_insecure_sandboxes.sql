-- +goose Up

-- The guest agent of a sandbox that is not secure takes requests without a token.
ALTER TABLE sandboxes ADD COLUMN secure boolean NOT NULL DEFAULT true;

-- +goose Down

ALTER TABLE sandboxes DROP COLUMN secure;
