-- +goose Up

-- A broken sandbox is one whose host has it and cannot use it; reason says why.
-- It may be read again one day: until then it cannot be used.
ALTER TABLE sandboxes DROP CONSTRAINT sandboxes_state_check;
ALTER TABLE sandboxes ADD CONSTRAINT sandboxes_state_check CHECK (state IN
    ('creating', 'running', 'pausing', 'paused', 'resuming', 'broken', 'killing', 'killed', 'failed'));

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sandbox_event() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE OR REPLACE FUNCTION sandbox_log_state() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION sandbox_event() RETURNS trigger LANGUAGE plpgsql AS $$
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
            WHEN NEW.state = 'running' AND OLD.state IN ('resuming', 'paused') THEN 'sandbox.resumed'
            WHEN NEW.state = 'paused' AND OLD.state IN ('running', 'pausing') THEN 'sandbox.paused'
            WHEN NEW.state = 'failed' OR NEW.state = 'killed' AND NEW.reason = 'not created' THEN 'sandbox.failed'
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
CREATE OR REPLACE FUNCTION sandbox_log_state() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    line text; severity text := 'info';
BEGIN
    CASE NEW.state
        WHEN 'running' THEN
            line := CASE OLD.state WHEN 'creating' THEN 'Sandbox started' WHEN 'pausing' THEN 'Sandbox runs on: it was not paused' ELSE 'Sandbox resumed' END;
            IF OLD.state = 'pausing' THEN severity := 'warn'; END IF;
        WHEN 'paused' THEN
            line := CASE OLD.state WHEN 'resuming' THEN 'Sandbox stays paused: it was not resumed' ELSE 'Sandbox paused' END;
            IF OLD.state = 'resuming' THEN severity := 'warn'; END IF;
        WHEN 'killed' THEN line := 'Sandbox ended';
        WHEN 'failed' THEN line := 'Sandbox was not created'; severity := 'error';
        ELSE RETURN NULL;
    END CASE;
    INSERT INTO sandbox_logs (sandbox_id, level, message, fields)
    VALUES (NEW.id, severity, line, jsonb_strip_nulls(jsonb_build_object('source', 'lifecycle', 'reason', nullif(NEW.reason, ''))));
    RETURN NULL;
END $$;
-- +goose StatementEnd

UPDATE sandboxes SET state = 'paused', version = version + 1 WHERE state = 'broken';
ALTER TABLE sandboxes DROP CONSTRAINT sandboxes_state_check;
ALTER TABLE sandboxes ADD CONSTRAINT sandboxes_state_check CHECK (state IN
    ('creating', 'running', 'pausing', 'paused', 'resuming', 'killing', 'killed', 'failed'));
