-- +goose Up

-- What each sandbox and template of a team may have; NULL is without limit.
ALTER TABLE team_limits
    ADD COLUMN max_sandbox_vcpu_count bigint CHECK (max_sandbox_vcpu_count >= 0),
    ADD COLUMN max_sandbox_memory_mib bigint CHECK (max_sandbox_memory_mib >= 0),
    ADD COLUMN max_sandbox_disk_mib bigint CHECK (max_sandbox_disk_mib >= 0);

-- +goose Down

ALTER TABLE team_limits
    DROP COLUMN max_sandbox_vcpu_count,
    DROP COLUMN max_sandbox_memory_mib,
    DROP COLUMN max_sandbox_disk_mib;
