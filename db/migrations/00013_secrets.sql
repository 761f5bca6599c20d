-- +goose Up

-- What egress rules put into requests. value is sealed for "secret:", the team, a
-- colon and the ID; of earlier versions nothing is kept.
CREATE TABLE secrets (
    id           text        PRIMARY KEY CHECK (id ~ '^sec_[a-z0-9]{20}$'),
    team_id      uuid        NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name         text        NOT NULL CHECK (name ~ '^[a-z0-9_-]{1,128}$' AND NOT starts_with(name, 'sec_')),
    version      bigint      NOT NULL DEFAULT 1,
    sealed_value bytea       NOT NULL,
    metadata     jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (team_id, name)
);
CREATE INDEX secrets_by_team ON secrets (team_id, created_at, id);

-- The names of the secrets that a sandbox's network refers to. How a reference is
-- written is pkg/placeholder's to say.
CREATE FUNCTION secret_names(network jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT lower(found[1])), '{}')
    FROM regexp_matches(network ->> 'rules', '\$\{e2b\.secrets\.([a-zA-Z0-9_-]+)\}', 'g') found
$$;
ALTER TABLE sandboxes ADD COLUMN secret_names text[] NOT NULL GENERATED ALWAYS AS (secret_names(network)) STORED;
CREATE INDEX sandboxes_by_secret ON sandboxes USING gin (secret_names)
    WHERE secret_names <> '{}' AND state NOT IN ('killed', 'failed');

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

-- +goose Down

DROP INDEX sandboxes_by_secret;
ALTER TABLE sandboxes DROP COLUMN secret_names;
DROP FUNCTION secret_names;
DROP TABLE secrets;
DROP FUNCTION secret_event;
