-- +goose Up

-- lifetime is the time to live that a client last asked for, which traffic that
-- resumes a sandbox gives it again. without_memory says what the last pause kept.
ALTER TABLE sandboxes
    ADD COLUMN lifetime          interval NOT NULL DEFAULT '5 minutes',
    ADD COLUMN auto_pause_memory boolean  NOT NULL DEFAULT true,
    ADD COLUMN auto_resume       boolean  NOT NULL DEFAULT false,
    ADD COLUMN without_memory    boolean  NOT NULL DEFAULT false;

-- A snapshot is a template that was taken of a sandbox.
ALTER TABLE templates ADD COLUMN snapshot_of text;
CREATE INDEX templates_snapshots ON templates (team_id, created_at DESC, id DESC) WHERE snapshot_of IS NOT NULL;

-- What running sandboxes took, every few seconds, kept for a while.
CREATE TABLE sandbox_samples (
    sandbox_id   text        NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    at           timestamptz NOT NULL,
    cpu_count    integer     NOT NULL,
    cpu_used_pct real        NOT NULL,
    mem_used     bigint      NOT NULL,
    mem_total    bigint      NOT NULL,
    mem_cache    bigint      NOT NULL,
    disk_used    bigint      NOT NULL,
    disk_total   bigint      NOT NULL,
    PRIMARY KEY (sandbox_id, at)
);
CREATE INDEX sandbox_samples_by_age ON sandbox_samples USING brin (at);

-- What happened to a sandbox and what its guest agent said.
CREATE TABLE sandbox_logs (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sandbox_id text        NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    level      text        NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    message    text        NOT NULL,
    fields     jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX sandbox_logs_by_sandbox ON sandbox_logs (sandbox_id, at, id);
CREATE INDEX sandbox_logs_by_age ON sandbox_logs USING brin (at);

-- Logs each step of a life, whichever statement takes it, in its transaction.
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
CREATE TRIGGER sandboxes_log_state AFTER UPDATE OF state ON sandboxes
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION sandbox_log_state();

-- +goose Down

DROP TRIGGER sandboxes_log_state ON sandboxes;
DROP FUNCTION sandbox_log_state;
DROP TABLE sandbox_logs, sandbox_samples;
DROP INDEX templates_snapshots;
ALTER TABLE templates DROP COLUMN snapshot_of;
ALTER TABLE sandboxes DROP COLUMN lifetime, DROP COLUMN auto_pause_memory, DROP COLUMN auto_resume, DROP COLUMN without_memory;
