-- +goose Up

-- The identity tokens that a sandbox may have, by name: audience and type. No secret;
-- null for none.
ALTER TABLE sandboxes ADD COLUMN iam_tokens jsonb;

-- The public halves of the keys by which hosts sign identity tokens. Private halves are
-- in the memory of hosts alone.
CREATE TABLE identity_keys (
    -- The key's thumbprint, by RFC 7638.
    id         text        PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{43}$'),
    host_id    uuid        NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    -- What the host signs as. A host whose key has another issuer gets a new one.
    issuer     text        NOT NULL,
    -- SubjectPublicKeyInfo, DER encoded.
    public_key bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the host is given another.
    retires_at timestamptz NOT NULL,
    -- When no token that it has signed can be valid, and it is published no more.
    expires_at timestamptz NOT NULL CHECK (expires_at >= retires_at)
);
CREATE INDEX identity_keys_by_host ON identity_keys (host_id);
CREATE INDEX identity_keys_by_expiry ON identity_keys (expires_at);

-- +goose Down

DROP TABLE identity_keys;
ALTER TABLE sandboxes DROP COLUMN iam_tokens;
