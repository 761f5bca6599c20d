-- +goose Up

-- The user whom links of this machine sign in, without a password.
ALTER TABLE users ADD COLUMN local boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX users_local ON users (local) WHERE local;

ALTER TABLE one_time_tokens DROP CONSTRAINT one_time_tokens_purpose_check,
    ADD CONSTRAINT one_time_tokens_purpose_check
        CHECK (purpose IN ('first_admin', 'password_reset', 'second_factor', 'local_sign_in'));

-- +goose Down

DELETE FROM one_time_tokens WHERE purpose = 'local_sign_in';
ALTER TABLE one_time_tokens DROP CONSTRAINT one_time_tokens_purpose_check,
    ADD CONSTRAINT one_time_tokens_purpose_check
        CHECK (purpose IN ('first_admin', 'password_reset', 'second_factor'));
DROP INDEX users_local;
ALTER TABLE users DROP COLUMN local;
