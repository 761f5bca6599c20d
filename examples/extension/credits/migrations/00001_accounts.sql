-- +goose Up
CREATE TABLE credits_accounts (
    team_id uuid PRIMARY KEY,
    -- Negative where sandboxes started at the same moment.
    credits bigint NOT NULL,
    -- The last event that was charged for.
    seen_event bigint NOT NULL
);

-- +goose Down
DROP TABLE credits_accounts;
