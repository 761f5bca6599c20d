-- +goose Up

-- Go writes the events of secrets and volumes in the transactions of their changes.
DROP TRIGGER secrets_event ON secrets;
DROP FUNCTION secret_event;
DROP TRIGGER volumes_lost_event ON volumes;
DROP TRIGGER volumes_event ON volumes;
DROP FUNCTION volume_event;

-- +goose Down

-- +goose StatementBegin
CREATE FUNCTION secret_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    secret secrets := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'DELETE' THEN 'deleted' ELSE 'updated' END;
BEGIN
    INSERT INTO events (team_id, type, resource_id, data) VALUES (secret.team_id, 'secret.' || verb, secret.id,
        jsonb_build_object('name', secret.name, 'version', secret.version));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER secrets_event AFTER INSERT OR DELETE OR UPDATE OF version ON secrets
    FOR EACH ROW EXECUTE FUNCTION secret_event();

-- +goose StatementBegin
CREATE FUNCTION volume_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    verb text := CASE WHEN TG_OP = 'UPDATE' AND OLD.deleting THEN 'created' ELSE 'deleted' END;
BEGIN
    INSERT INTO events (team_id, type, resource_id, data)
    VALUES (OLD.team_id, 'volume.' || verb, OLD.id, jsonb_build_object('name', OLD.name));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER volumes_event AFTER UPDATE OF deleting ON volumes
    FOR EACH ROW WHEN (OLD.deleting <> NEW.deleting) EXECUTE FUNCTION volume_event();
CREATE TRIGGER volumes_lost_event AFTER DELETE ON volumes
    FOR EACH ROW WHEN (NOT OLD.deleting) EXECUTE FUNCTION volume_event();
