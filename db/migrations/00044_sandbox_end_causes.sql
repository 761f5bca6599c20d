-- +goose Up

-- Why a sandbox ends; '' while it does not. The reason beside it is for people only.
ALTER TABLE sandboxes ADD COLUMN end_cause text NOT NULL DEFAULT ''
    CHECK (end_cause IN ('', 'killed', 'expired', 'not_created', 'ended_on_host', 'host_retired'));

-- Once, from the reasons that control planes wrote so far. A kill that a control plane
-- did not finish left no reason, and every other reason is a host's.
UPDATE sandboxes SET end_cause = CASE
    WHEN reason = 'its time was over' THEN 'expired'
    WHEN reason = 'its host was retired' THEN 'host_retired'
    WHEN state = 'failed' OR reason = 'not created' THEN 'not_created'
    WHEN state = 'killing' OR reason IN ('', 'killed by its team') THEN 'killed'
    ELSE 'ended_on_host'
END
WHERE state IN ('killing', 'killed', 'failed');

-- The control plane writes the events and log lines of sandboxes itself, in the
-- transaction of what they tell of.
DROP TRIGGER sandboxes_event ON sandboxes;
DROP TRIGGER sandboxes_event_insert ON sandboxes;
DROP TRIGGER sandboxes_fork_event ON sandboxes;
DROP TRIGGER sandboxes_log_state ON sandboxes;
DROP FUNCTION sandbox_event, sandbox_fork_event, sandbox_log_state;

-- +goose Down

-- +goose StatementBegin
CREATE FUNCTION sandbox_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kind text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        kind := 'sandbox.created';
    ELSIF NEW.state = OLD.state THEN
        kind := 'sandbox.updated';
    ELSE
        kind := CASE
            WHEN NEW.state = 'running' AND OLD.state = 'creating' THEN 'sandbox.started'
            WHEN NEW.state = 'running' AND OLD.state IN ('resuming', 'paused', 'broken') THEN 'sandbox.resumed'
            WHEN NEW.state = 'paused' AND OLD.state IN ('running', 'pausing', 'broken') THEN 'sandbox.paused'
            WHEN NEW.state IN ('broken', 'failed') OR NEW.state = 'killed' AND NEW.reason = 'not created' THEN 'sandbox.failed'
            WHEN NEW.state = 'killed' AND 'its time was over' IN (NEW.reason, OLD.reason) THEN 'sandbox.expired'
            WHEN NEW.state = 'killed' THEN 'sandbox.killed'
        END;
    END IF;
    IF kind IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO events (team_id, type, resource_id, data) VALUES (NEW.team_id, kind, NEW.id, jsonb_build_object(
        'state', NEW.state, 'reason', NEW.reason, 'templateID', NEW.template_id, 'buildID', NEW.build_id,
        'alias', NEW.alias, 'metadata', NEW.metadata, 'vcpuCount', NEW.vcpu_count, 'memoryMB', NEW.memory_mib,
        'startedAt', NEW.started_at, 'endAt', NEW.end_at));
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION sandbox_log_state() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    line text; severity text := 'info';
BEGIN
    CASE NEW.state
        WHEN 'running' THEN
            line := CASE OLD.state WHEN 'creating' THEN 'Sandbox started' WHEN 'pausing' THEN 'Sandbox runs on: it was not paused' ELSE 'Sandbox resumed' END;
            IF OLD.state = 'pausing' THEN severity := 'warn'; END IF;
        WHEN 'paused' THEN
            line := CASE OLD.state WHEN 'resuming' THEN 'Sandbox stays paused: it was not resumed' WHEN 'broken' THEN 'Sandbox can be used again' ELSE 'Sandbox paused' END;
            IF OLD.state = 'resuming' THEN severity := 'warn'; END IF;
        WHEN 'killed' THEN line := 'Sandbox ended';
        WHEN 'broken' THEN line := 'Sandbox failed: it cannot be used'; severity := 'error';
        WHEN 'failed' THEN line := 'Sandbox was not created'; severity := 'error';
        ELSE RETURN NULL;
    END CASE;
    INSERT INTO sandbox_logs (sandbox_id, level, message, fields)
    VALUES (NEW.id, severity, line, jsonb_strip_nulls(jsonb_build_object('source', 'lifecycle', 'reason', nullif(NEW.reason, ''))));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER sandboxes_event_insert AFTER INSERT ON sandboxes FOR EACH ROW EXECUTE FUNCTION sandbox_event();
CREATE TRIGGER sandboxes_event AFTER UPDATE OF state, end_at, metadata, network, allow_internet_access ON sandboxes
    FOR EACH ROW WHEN (ROW(OLD.state, OLD.end_at, OLD.metadata, OLD.network, OLD.allow_internet_access)
        IS DISTINCT FROM ROW(NEW.state, NEW.end_at, NEW.metadata, NEW.network, NEW.allow_internet_access))
    EXECUTE FUNCTION sandbox_event();
CREATE TRIGGER sandboxes_log_state AFTER UPDATE OF state ON sandboxes
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION sandbox_log_state();

-- +goose StatementBegin
CREATE FUNCTION sandbox_fork_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (team_id, type, resource_id, data)
    VALUES (NEW.team_id, 'sandbox.forked', NEW.forked_from, jsonb_build_object('forkID', NEW.id));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER sandboxes_fork_event AFTER UPDATE OF state ON sandboxes
    FOR EACH ROW WHEN (OLD.state = 'creating' AND NEW.state = 'running' AND NEW.forked_from <> '')
    EXECUTE FUNCTION sandbox_fork_event();

ALTER TABLE sandboxes DROP COLUMN end_cause;
