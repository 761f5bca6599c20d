-- +goose Up

-- A volume is "deleting" as long as nobody may use it: while it is made, too. So
-- whoever dies while he makes or deletes one leaves the same behind, and whoever
-- follows the host brings it to its end. Until then its name is free.
ALTER TABLE volumes DROP CONSTRAINT volumes_team_id_name_key;
CREATE UNIQUE INDEX volumes_by_name ON volumes (team_id, name) WHERE NOT deleting;
CREATE INDEX volumes_unfinished ON volumes (host_id) WHERE deleting;

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

-- +goose Down

DROP TRIGGER volumes_lost_event ON volumes;
DROP TRIGGER volumes_event ON volumes;
DROP FUNCTION volume_event;
DROP INDEX volumes_unfinished;
DELETE FROM volumes WHERE deleting;
DROP INDEX volumes_by_name;
ALTER TABLE volumes ADD UNIQUE (team_id, name);
