-- +goose Up

-- Which sandbox a fork began as; '' for what is none.
ALTER TABLE sandboxes ADD COLUMN forked_from text NOT NULL DEFAULT '';

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

-- A team that is deleted loses its members without a word.
-- +goose StatementBegin
CREATE FUNCTION member_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    member team_members := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    verb text := CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'DELETE' THEN 'removed' ELSE 'updated' END;
BEGIN
    IF EXISTS (SELECT FROM teams WHERE id = member.team_id) THEN
        INSERT INTO events (team_id, type, resource_id, data)
        VALUES (member.team_id, 'member.' || verb, member.user_id::text, jsonb_build_object('role', member.role));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER team_members_event AFTER INSERT OR DELETE OR UPDATE OF role ON team_members
    FOR EACH ROW EXECUTE FUNCTION member_event();

-- Hosts belong to the installation, whose events have the zero UUID for a team.
-- +goose StatementBegin
CREATE FUNCTION host_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (team_id, type, resource_id, data) VALUES ('00000000-0000-0000-0000-000000000000',
        CASE WHEN TG_OP = 'INSERT' THEN 'host.registered' ELSE 'host.' || NEW.state END,
        NEW.id::text, jsonb_build_object('name', NEW.name, 'state', NEW.state));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER hosts_event_insert AFTER INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION host_event();
CREATE TRIGGER hosts_event AFTER UPDATE OF state ON hosts
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION host_event();

-- +goose Down

DROP TRIGGER hosts_event ON hosts;
DROP TRIGGER hosts_event_insert ON hosts;
DROP FUNCTION host_event;
DROP TRIGGER team_members_event ON team_members;
DROP FUNCTION member_event;
DROP TRIGGER sandboxes_fork_event ON sandboxes;
DROP FUNCTION sandbox_fork_event;
ALTER TABLE sandboxes DROP COLUMN forked_from;
