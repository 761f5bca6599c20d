-- +goose Up

-- What each key of a team was sent with first, and what came of it. Nothing of the
-- answer is kept: it is made again from the sandbox.
CREATE TABLE idempotency_keys (
    team_id      uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    -- The one that was stored last for this request; it may have come to nothing.
    sandbox_id   text,
    -- The request was answered with sandbox_id, or was about to be.
    done         boolean NOT NULL DEFAULT false,
    claimant     integer NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- +goose Down

DROP TABLE idempotency_keys;
