-- +goose Up

-- What a team may have besides sandboxes; NULL is without limit but for the
-- installation's own.
ALTER TABLE team_limits
    ADD COLUMN max_volumes    integer CHECK (max_volumes >= 0),
    ADD COLUMN max_volume_mib bigint CHECK (max_volume_mib >= 0),
    ADD COLUMN max_secrets    integer CHECK (max_secrets >= 0);

-- How much a volume may hold; zero, of those made before, is no limit.
ALTER TABLE volumes ADD COLUMN max_mib bigint NOT NULL DEFAULT 0 CHECK (max_mib >= 0);

-- +goose Down

ALTER TABLE volumes DROP COLUMN max_mib;
ALTER TABLE team_limits DROP COLUMN max_volumes, DROP COLUMN max_volume_mib, DROP COLUMN max_secrets;
