-- +goose Up

-- Go writes the events of templates and builds in the transactions of their changes.
DROP TRIGGER template_builds_event ON template_builds;
DROP TRIGGER template_builds_event_insert ON template_builds;
DROP FUNCTION build_event;
DROP TRIGGER templates_event ON templates;
DROP FUNCTION template_event;

-- +goose Down

-- +goose StatementBegin
CREATE FUNCTION template_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    template templates := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    source text := to_jsonb(template) ->> 'snapshot_of';
    team uuid := coalesce(template.team_id, '00000000-0000-0000-0000-000000000000');
    verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'DELETE' THEN 'deleted' ELSE 'updated' END;
BEGIN
    IF TG_OP = 'INSERT' AND source IS NOT NULL THEN
        INSERT INTO events (team_id, type, resource_id, data)
        VALUES (team, 'sandbox.snapshotted', source, jsonb_build_object('snapshotID', template.id));
    END IF;
    INSERT INTO events (team_id, type, resource_id, data)
    VALUES (team, 'template.' || verb, template.id, jsonb_build_object('public', template.public));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER templates_event AFTER INSERT OR DELETE OR UPDATE OF public ON templates
    FOR EACH ROW EXECUTE FUNCTION template_event();

-- +goose StatementBegin
CREATE FUNCTION build_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (team_id, type, resource_id, data)
    SELECT coalesce(t.team_id, '00000000-0000-0000-0000-000000000000'),
        CASE NEW.status WHEN 'ready' THEN 'template.built' ELSE 'template.build_failed' END,
        t.id, jsonb_build_object('buildID', NEW.id)
    FROM templates t WHERE t.id = NEW.template_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER template_builds_event_insert AFTER INSERT ON template_builds
    FOR EACH ROW WHEN (NEW.status IN ('ready', 'error')) EXECUTE FUNCTION build_event();
CREATE TRIGGER template_builds_event AFTER UPDATE OF status ON template_builds
    FOR EACH ROW WHEN (NEW.status IN ('ready', 'error') AND OLD.status <> NEW.status) EXECUTE FUNCTION build_event();
