-- +goose Up

-- Go writes the events of channels in the transactions of their changes.
DROP TRIGGER channels_event ON channels;
DROP FUNCTION channel_event;

-- +goose Down

-- +goose StatementBegin
CREATE FUNCTION channel_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    channel channels := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'DELETE' THEN 'deleted' ELSE 'updated' END;
BEGIN
    INSERT INTO events (team_id, type, resource_id, data) VALUES (channel.team_id, 'channel.' || verb, channel.id::text,
        jsonb_build_object('kind', channel.kind, 'name', channel.name, 'enabled', channel.enabled));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER channels_event AFTER INSERT OR DELETE OR UPDATE OF name, event_types, target, enabled ON channels
    FOR EACH ROW EXECUTE FUNCTION channel_event();
