-- +goose Up
CREATE TABLE billing_plans (
    team_id   uuid PRIMARY KEY,
    sandboxes bigint NOT NULL CHECK (sandboxes > 0)
);

CREATE TABLE billing_charges (
    event_id   bigint PRIMARY KEY, -- of sandbox.started, so that each start is charged once
    team_id    uuid NOT NULL,
    sandbox_id text NOT NULL,
    cents      bigint NOT NULL CHECK (cents >= 0),
    charged_at timestamptz NOT NULL DEFAULT now()
);

-- For a team's last charge and the sum of its charges.
CREATE INDEX billing_charges_team ON billing_charges (team_id, event_id);

-- +goose Down
DROP TABLE billing_charges;
DROP TABLE billing_plans;
