-- +goose Up

-- The control plane writes the events of hosts, in the transaction of the change.
DROP TRIGGER hosts_event ON hosts;
DROP TRIGGER hosts_event_insert ON hosts;
DROP FUNCTION host_event();

-- +goose Down

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
CREATE TRIGGER hosts_event AFTER UPDATE OF state ON hosts FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION host_event();
