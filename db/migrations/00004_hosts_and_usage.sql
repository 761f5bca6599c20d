-- +goose Up

-- state changes only by compare and set, as pkg/service says. address is empty
-- for the host on this machine, which is reached by its sockets. drain_wanted
-- outlives an absence. follower is the advisory lock of the control plane that
-- follows the host. What may be promised of a host is what it has times its
-- overcommit.
ALTER TABLE hosts
    ADD COLUMN state              text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'ready', 'draining', 'unreachable', 'retired')),
    ADD COLUMN state_changed_at   timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN drain_wanted       boolean     NOT NULL DEFAULT false,
    ADD COLUMN address            text        NOT NULL DEFAULT '',
    ADD COLUMN tags               text[]      NOT NULL DEFAULT '{}',
    ADD COLUMN follower           integer     NOT NULL DEFAULT 0,
    ADD COLUMN vcpu_overcommit    real        NOT NULL DEFAULT 1 CHECK (vcpu_overcommit > 0),
    ADD COLUMN memory_overcommit  real        NOT NULL DEFAULT 1 CHECK (memory_overcommit > 0),
    ADD COLUMN disk_overcommit    real        NOT NULL DEFAULT 1 CHECK (disk_overcommit > 0);

-- What of a host may be promised and what is, apart from the host itself because
-- it changes with every sandbox. The row's lock is what keeps two control planes
-- from promising the same room.
CREATE TABLE host_loads (
    host_id                uuid    PRIMARY KEY REFERENCES hosts (id) ON DELETE CASCADE,
    vcpu_capacity          bigint  NOT NULL DEFAULT 0,
    memory_mib_capacity    bigint  NOT NULL DEFAULT 0,
    disk_mib_capacity      bigint  NOT NULL DEFAULT 0,
    vcpu_allocated         bigint  NOT NULL DEFAULT 0,
    memory_mib_allocated   bigint  NOT NULL DEFAULT 0,
    disk_mib_allocated     bigint  NOT NULL DEFAULT 0,
    sandbox_count          integer NOT NULL DEFAULT 0,
    memory_available_bytes bigint  NOT NULL DEFAULT 0,
    disk_available_bytes   bigint  NOT NULL DEFAULT 0,
    create_successes       bigint  NOT NULL DEFAULT 0,
    create_failures        bigint  NOT NULL DEFAULT 0
);

-- A token lets one machine join, once. Only its SHA-256 is stored.
CREATE TABLE host_tokens (
    id         uuid        PRIMARY KEY,
    token_hash bytea       NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    tags       text[]      NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    host_id    uuid        REFERENCES hosts (id) ON DELETE SET NULL
);

-- The internal authority. Its key is sealed with the root key.
CREATE TABLE certificate_authority (
    singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    certificate bytea       NOT NULL,
    sealed_key  bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- A certificate opens nothing once it is revoked, or its host retired.
CREATE TABLE host_certificates (
    fingerprint bytea       PRIMARY KEY CHECK (octet_length(fingerprint) = 32),
    host_id     uuid        NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    issued_at   timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);
CREATE INDEX host_certificates_by_host ON host_certificates (host_id);

-- occupies says that a sandbox holds processors and memory of its host.
ALTER TABLE sandboxes
    ADD COLUMN occupies        boolean NOT NULL DEFAULT false,
    ADD COLUMN placement_group text    NOT NULL DEFAULT '';
CREATE INDEX sandboxes_by_group ON sandboxes (placement_group, host_id)
    WHERE occupies AND placement_group <> '';

-- What a team may have; NULL is without limit.
CREATE TABLE team_limits (
    team_id                uuid    PRIMARY KEY REFERENCES teams (id) ON DELETE CASCADE,
    max_sandboxes          integer CHECK (max_sandboxes >= 0),
    max_vcpu_count         bigint  CHECK (max_vcpu_count >= 0),
    max_memory_mib         bigint  CHECK (max_memory_mib >= 0),
    max_disk_mib           bigint  CHECK (max_disk_mib >= 0),
    max_builds             integer CHECK (max_builds >= 0),
    max_creates_per_minute integer CHECK (max_creates_per_minute >= 0)
);

-- What a team has. create_allowance is how many creates it had left at
-- create_refilled_at.
CREATE TABLE team_use (
    team_id            uuid             PRIMARY KEY REFERENCES teams (id) ON DELETE CASCADE,
    sandbox_count      integer          NOT NULL DEFAULT 0,
    vcpu_count         bigint           NOT NULL DEFAULT 0,
    memory_mib         bigint           NOT NULL DEFAULT 0,
    disk_mib           bigint           NOT NULL DEFAULT 0,
    create_allowance   double precision NOT NULL DEFAULT 0,
    create_refilled_at timestamptz      NOT NULL DEFAULT 'epoch'
);

-- While a sandbox runs it has one open interval.
CREATE TABLE usage_intervals (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sandbox_id text        NOT NULL,
    team_id    uuid        NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    vcpu_count integer     NOT NULL,
    memory_mib integer     NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz CHECK (ended_at >= started_at)
);
CREATE UNIQUE INDEX usage_intervals_open ON usage_intervals (sandbox_id) WHERE ended_at IS NULL;
CREATE INDEX usage_intervals_by_team ON usage_intervals (team_id, (coalesce(ended_at, 'infinity'::timestamptz)));

-- A sandbox that is being killed holds what it held before.
-- +goose StatementBegin
CREATE FUNCTION sandbox_set_occupies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'killing' THEN
        NEW.occupies := NEW.state IN ('creating', 'running', 'pausing', 'resuming');
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION sandbox_hold(team uuid, host uuid, vcpus bigint, memory bigint, disk bigint, machines integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF vcpus = 0 AND memory = 0 AND disk = 0 AND machines = 0 THEN
        RETURN;
    END IF;
    -- The team comes before the host, as in a placement, so that none waits for
    -- another that waits for it.
    INSERT INTO team_use AS u (team_id, sandbox_count, vcpu_count, memory_mib, disk_mib)
    VALUES (team, machines, vcpus, memory, disk)
    ON CONFLICT (team_id) DO UPDATE SET sandbox_count = u.sandbox_count + EXCLUDED.sandbox_count,
        vcpu_count = u.vcpu_count + EXCLUDED.vcpu_count, memory_mib = u.memory_mib + EXCLUDED.memory_mib,
        disk_mib = u.disk_mib + EXCLUDED.disk_mib;
    INSERT INTO host_loads AS l (host_id, sandbox_count, vcpu_allocated, memory_mib_allocated, disk_mib_allocated)
    VALUES (host, machines, vcpus, memory, disk)
    ON CONFLICT (host_id) DO UPDATE SET sandbox_count = l.sandbox_count + EXCLUDED.sandbox_count,
        vcpu_allocated = l.vcpu_allocated + EXCLUDED.vcpu_allocated,
        memory_mib_allocated = l.memory_mib_allocated + EXCLUDED.memory_mib_allocated,
        disk_mib_allocated = l.disk_mib_allocated + EXCLUDED.disk_mib_allocated;
END $$;
-- +goose StatementEnd

-- Counts what sandboxes hold and how long they run, whichever statement moves
-- them: in the same transaction, so that it is exact.
-- +goose StatementBegin
CREATE FUNCTION sandbox_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    vcpus bigint := 0; memory bigint := 0; disk bigint := 0; machines integer := 0;
    was_running boolean := false;
    is_running boolean := false;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        IF OLD.occupies THEN
            vcpus := -OLD.vcpu_count; memory := -OLD.memory_mib; machines := -1;
        END IF;
        IF OLD.state NOT IN ('killed', 'failed') THEN
            disk := -OLD.disk_mib;
        END IF;
        was_running := OLD.state IN ('running', 'pausing');
        IF TG_OP = 'DELETE' OR NEW.host_id <> OLD.host_id THEN
            PERFORM sandbox_hold(OLD.team_id, OLD.host_id, vcpus, memory, disk, machines);
            vcpus := 0; memory := 0; disk := 0; machines := 0;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.occupies THEN
            vcpus := vcpus + NEW.vcpu_count; memory := memory + NEW.memory_mib; machines := machines + 1;
        END IF;
        IF NEW.state NOT IN ('killed', 'failed') THEN
            disk := disk + NEW.disk_mib;
        END IF;
        is_running := NEW.state IN ('running', 'pausing');
        PERFORM sandbox_hold(NEW.team_id, NEW.host_id, vcpus, memory, disk, machines);
    END IF;
    IF was_running AND (NOT is_running OR NEW.vcpu_count <> OLD.vcpu_count OR NEW.memory_mib <> OLD.memory_mib) THEN
        UPDATE usage_intervals SET ended_at = greatest(now(), started_at)
        WHERE sandbox_id = OLD.id AND ended_at IS NULL;
        was_running := false;
    END IF;
    IF is_running AND NOT was_running THEN
        INSERT INTO usage_intervals (sandbox_id, team_id, vcpu_count, memory_mib)
        VALUES (NEW.id, NEW.team_id, NEW.vcpu_count, NEW.memory_mib);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- All control planes that live, at once: asking for each host's follower would
-- read all locks for each.
-- +goose StatementBegin
CREATE FUNCTION living_claimants() RETURNS integer[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(objid::bigint::integer), '{}') FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = 1467114862::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;
-- +goose StatementEnd

-- Tells all control planes of a change to what hosts there are, or which host's
-- connections must end because a certificate of its was revoked.
-- +goose StatementBegin
CREATE FUNCTION host_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'host_certificates' THEN
        PERFORM pg_notify('wrenn_hosts', NEW.host_id::text);
    ELSE
        PERFORM pg_notify('wrenn_hosts', '');
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

UPDATE sandboxes SET occupies = true WHERE state IN ('creating', 'running', 'pausing', 'resuming');
INSERT INTO host_loads (host_id, vcpu_allocated, memory_mib_allocated, disk_mib_allocated, sandbox_count)
SELECT h.id, coalesce(sum(s.vcpu_count) FILTER (WHERE s.occupies), 0), coalesce(sum(s.memory_mib) FILTER (WHERE s.occupies), 0),
    coalesce(sum(s.disk_mib), 0), count(*) FILTER (WHERE s.occupies)
FROM hosts h LEFT JOIN sandboxes s ON s.host_id = h.id AND s.state NOT IN ('killed', 'failed')
GROUP BY h.id;
INSERT INTO team_use (team_id, vcpu_count, memory_mib, disk_mib, sandbox_count)
SELECT s.team_id, coalesce(sum(s.vcpu_count) FILTER (WHERE s.occupies), 0), coalesce(sum(s.memory_mib) FILTER (WHERE s.occupies), 0),
    sum(s.disk_mib), count(*) FILTER (WHERE s.occupies)
FROM sandboxes s WHERE s.state NOT IN ('killed', 'failed')
GROUP BY s.team_id;
INSERT INTO usage_intervals (sandbox_id, team_id, vcpu_count, memory_mib)
SELECT id, team_id, vcpu_count, memory_mib FROM sandboxes WHERE state IN ('running', 'pausing');

CREATE TRIGGER sandboxes_set_occupies BEFORE INSERT OR UPDATE OF state ON sandboxes
    FOR EACH ROW EXECUTE FUNCTION sandbox_set_occupies();
CREATE TRIGGER sandboxes_account AFTER INSERT OR DELETE OR UPDATE OF state, host_id, vcpu_count, memory_mib, disk_mib ON sandboxes
    FOR EACH ROW EXECUTE FUNCTION sandbox_account();
CREATE TRIGGER hosts_announce AFTER INSERT OR DELETE OR UPDATE OF state, address, tags, drain_wanted ON hosts
    FOR EACH ROW EXECUTE FUNCTION host_announce();
CREATE TRIGGER host_certificates_announce AFTER UPDATE OF revoked_at ON host_certificates
    FOR EACH ROW EXECUTE FUNCTION host_announce();

-- +goose Down

DROP TRIGGER host_certificates_announce ON host_certificates;
DROP TRIGGER hosts_announce ON hosts;
DROP TRIGGER sandboxes_account ON sandboxes;
DROP TRIGGER sandboxes_set_occupies ON sandboxes;
DROP FUNCTION host_announce, living_claimants, sandbox_account, sandbox_hold, sandbox_set_occupies;
DROP TABLE usage_intervals, team_use, team_limits, host_certificates, certificate_authority, host_tokens, host_loads;
DROP INDEX sandboxes_by_group;
ALTER TABLE sandboxes DROP COLUMN occupies, DROP COLUMN placement_group;
ALTER TABLE hosts DROP COLUMN state, DROP COLUMN state_changed_at, DROP COLUMN drain_wanted, DROP COLUMN address,
    DROP COLUMN tags, DROP COLUMN follower, DROP COLUMN vcpu_overcommit, DROP COLUMN memory_overcommit, DROP COLUMN disk_overcommit;
