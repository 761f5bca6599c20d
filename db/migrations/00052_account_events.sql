-- +goose Up

-- Go writes the events of API keys and members in the transactions of their changes.
DROP TRIGGER api_keys_event ON api_keys;
DROP FUNCTION api_key_event;
DROP TRIGGER team_members_event ON team_members;
DROP FUNCTION member_event;

-- +goose Down

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

-- +goose StatementBegin
CREATE FUNCTION api_key_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (team_id, type, resource_id, data) VALUES (NEW.team_id,
        CASE WHEN TG_OP = 'INSERT' THEN 'key.created' WHEN NEW.revoked_at IS NULL THEN 'key.updated' ELSE 'key.revoked' END,
        NEW.id::text, jsonb_build_object('name', NEW.name));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER api_keys_event AFTER INSERT OR UPDATE OF name, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION api_key_event();
