-- +goose Up

-- What hosts have promised, what teams have, and the time for which a sandbox runs or is
-- being paused. A sandbox never changes its team or its host. The team comes before the
-- host, as in a placement, so that two transactions never wait for each other.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sandbox_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    s sandboxes := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    machines integer := coalesce(NEW.occupies::integer, 0) - coalesce(OLD.occupies::integer, 0);
    vcpus bigint := coalesce(NEW.occupies::integer * NEW.vcpu_count, 0) - coalesce(OLD.occupies::integer * OLD.vcpu_count, 0);
    memory bigint := coalesce(NEW.occupies::integer * NEW.memory_mib, 0) - coalesce(OLD.occupies::integer * OLD.memory_mib, 0);
    disk bigint := coalesce((NEW.state NOT IN ('killed', 'failed'))::integer * NEW.disk_mib, 0)
        - coalesce((OLD.state NOT IN ('killed', 'failed'))::integer * OLD.disk_mib, 0);
    ran boolean := coalesce(OLD.state IN ('running', 'pausing'), false);
    runs boolean := coalesce(NEW.state IN ('running', 'pausing'), false);
    other boolean := (runs, NEW.vcpu_count, NEW.memory_mib) IS DISTINCT FROM (ran, OLD.vcpu_count, OLD.memory_mib);
BEGIN
    IF (machines, vcpus, memory, disk) <> (0, 0, 0, 0) THEN
        INSERT INTO team_use AS u (team_id, sandbox_count, vcpu_count, memory_mib, disk_mib) VALUES (s.team_id, machines, vcpus, memory, disk)
        ON CONFLICT (team_id) DO UPDATE SET sandbox_count = u.sandbox_count + machines,
            vcpu_count = u.vcpu_count + vcpus, memory_mib = u.memory_mib + memory, disk_mib = u.disk_mib + disk;
        INSERT INTO host_loads AS l (host_id, sandbox_count, vcpu_allocated, memory_mib_allocated, disk_mib_allocated)
        VALUES (s.host_id, machines, vcpus, memory, disk)
        ON CONFLICT (host_id) DO UPDATE SET sandbox_count = l.sandbox_count + machines, vcpu_allocated = l.vcpu_allocated + vcpus,
            memory_mib_allocated = l.memory_mib_allocated + memory, disk_mib_allocated = l.disk_mib_allocated + disk;
    END IF;
    IF ran AND other THEN
        UPDATE usage_intervals SET ended_at = greatest(now(), started_at) WHERE sandbox_id = s.id AND ended_at IS NULL;
    END IF;
    IF runs AND other THEN
        INSERT INTO usage_intervals (sandbox_id, team_id, vcpu_count, memory_mib) VALUES (s.id, s.team_id, s.vcpu_count, s.memory_mib);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP FUNCTION sandbox_hold;

-- The class of the advisory locks is in one function.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION claimant_alive(claimant integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT claimant <> 0 AND claimant = ANY (living_claimants())
$$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION claimant_alive(claimant integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT claimant <> 0 AND EXISTS (
        SELECT 1 FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND classid = 1467114862::oid AND objid = claimant::oid
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
$$;
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

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sandbox_account() RETURNS trigger LANGUAGE plpgsql AS $$
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
