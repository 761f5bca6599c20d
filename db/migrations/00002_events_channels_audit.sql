-- +goose Up

-- What has happened. An event is written in the transaction of what it tells of.
-- Within a team IDs grow in the order of commits, so that whoever has read up to
-- an ID has missed nothing. transaction_id lets those who follow all teams find
-- what has become visible since they last looked. A team's events outlive it
-- until they are too old. The zero UUID is the installation itself.
CREATE SEQUENCE event_ids;
CREATE TABLE events (
    id             bigint      PRIMARY KEY,
    team_id        uuid        NOT NULL,
    type           text        NOT NULL CHECK (type ~ '^[a-z]+(\.[a-z_]+)+$'),
    resource_id    text        NOT NULL,
    data           jsonb       NOT NULL DEFAULT '{}',
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    transaction_id xid8        NOT NULL DEFAULT pg_current_xact_id(),
    dispatched     boolean     NOT NULL DEFAULT false
);
CREATE INDEX events_by_team ON events (team_id, id);
CREATE INDEX events_by_resource ON events (team_id, resource_id, id);
CREATE INDEX events_by_transaction ON events (transaction_id);
CREATE INDEX events_to_dispatch ON events (id) WHERE NOT dispatched;
CREATE INDEX events_by_age ON events USING brin (at);

-- Transactions of a team take turns from here to their commit: only then does the
-- order of IDs say the order of commits. The number is arbitrary.
-- +goose StatementBegin
CREATE FUNCTION event_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1467114863, hashtext(NEW.team_id::text));
    NEW.id := nextval('event_ids');
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER events_order BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION event_order();

-- +goose StatementBegin
CREATE FUNCTION event_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wrenn_events', '');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER events_announce AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION event_announce();

-- Tells of each step of a sandbox's life, whichever statement takes it. The
-- reasons are those that pkg/service gives.
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
CREATE TRIGGER sandboxes_event_insert AFTER INSERT ON sandboxes FOR EACH ROW EXECUTE FUNCTION sandbox_event();
CREATE TRIGGER sandboxes_event AFTER UPDATE OF state, end_at, metadata, network, allow_internet_access ON sandboxes
    FOR EACH ROW WHEN (ROW(OLD.state, OLD.end_at, OLD.metadata, OLD.network, OLD.allow_internet_access)
        IS DISTINCT FROM ROW(NEW.state, NEW.end_at, NEW.metadata, NEW.network, NEW.allow_internet_access))
    EXECUTE FUNCTION sandbox_event();

-- A template that is a snapshot names its sandbox in a column that comes later.
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

-- Where a team is told of its events; no event types means all of them. config is
-- sealed for "channel:" and the ID; target is what a list may show of it.
CREATE TABLE channels (
    id            uuid        PRIMARY KEY,
    team_id       uuid        NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    kind          text        NOT NULL CHECK (kind IN
        ('webhook', 'slack', 'discord', 'teams', 'google_chat', 'telegram', 'matrix', 'email')),
    name          text        NOT NULL,
    event_types   text[]      NOT NULL DEFAULT '{}',
    target        text        NOT NULL,
    sealed_config bytea       NOT NULL,
    enabled       boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX channels_by_team ON channels (team_id, created_at, id);

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

-- One event on its way to one channel. event is what is sent, kept because the
-- event itself may go earlier. The ID of an event that only tests a channel is 0.
CREATE TABLE channel_deliveries (
    id              uuid        PRIMARY KEY,
    channel_id      uuid        NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    event_id        bigint      NOT NULL,
    event           jsonb       NOT NULL,
    state           text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempt_count   integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz,
    finished_at     timestamptz
);
CREATE UNIQUE INDEX channel_deliveries_once ON channel_deliveries (channel_id, event_id) WHERE event_id <> 0;
CREATE INDEX channel_deliveries_by_channel ON channel_deliveries (channel_id, created_at DESC, id DESC);
CREATE INDEX channel_deliveries_by_age ON channel_deliveries USING brin (created_at);

-- response is the beginning of what the receiver answered.
CREATE TABLE channel_attempts (
    delivery_id uuid        NOT NULL REFERENCES channel_deliveries (id) ON DELETE CASCADE,
    number        integer     NOT NULL,
    at            timestamptz NOT NULL,
    duration_ms   integer     NOT NULL,
    status_code   integer     NOT NULL DEFAULT 0,
    response      text        NOT NULL DEFAULT '',
    error         text        NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, number)
);

-- Who did what. A row is never changed, and goes only when it is old; see
-- audit_keep. The zero UUID is no team.
CREATE TABLE audit_entries (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL,
    team_id       uuid        NOT NULL,
    actor_kind    text        NOT NULL,
    actor_id      text        NOT NULL,
    actor_name    text        NOT NULL,
    action        text        NOT NULL,
    resource_kind text        NOT NULL,
    resource_id   text        NOT NULL,
    outcome       text        NOT NULL CHECK (outcome IN ('success', 'denied', 'failure')),
    status        integer     NOT NULL,
    address       text        NOT NULL,
    user_agent    text        NOT NULL,
    request_id    text        NOT NULL,
    details       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_entries_by_team ON audit_entries (team_id, id DESC);
CREATE INDEX audit_entries_by_resource ON audit_entries (team_id, resource_id, id DESC);
CREATE INDEX audit_entries_by_actor ON audit_entries (team_id, actor_id, id DESC);
CREATE INDEX audit_entries_by_age ON audit_entries USING brin (at);

-- The database itself says when, so that nothing can be made to look old.
-- +goose StatementBegin
CREATE FUNCTION audit_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.at := clock_timestamp();
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_stamp BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_stamp();

-- What is younger than 30 days cannot go, whatever the retention is set to.
-- +goose StatementBegin
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_keep BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_entries_keep_all BEFORE TRUNCATE ON audit_entries EXECUTE FUNCTION audit_keep();

-- +goose Down

DROP TABLE audit_entries, channel_attempts, channel_deliveries, channels;
DROP TRIGGER api_keys_event ON api_keys;
DROP TRIGGER template_builds_event ON template_builds;
DROP TRIGGER template_builds_event_insert ON template_builds;
DROP TRIGGER templates_event ON templates;
DROP TRIGGER sandboxes_event ON sandboxes;
DROP TRIGGER sandboxes_event_insert ON sandboxes;
DROP TABLE events;
DROP SEQUENCE event_ids;
DROP FUNCTION audit_keep, audit_stamp, channel_event, api_key_event, build_event, template_event, sandbox_event,
    event_announce, event_order;
