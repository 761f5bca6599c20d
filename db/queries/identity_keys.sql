-- name: CreateIdentityKey :exec
INSERT INTO identity_keys (id, host_id, issuer, public_key, retires_at, expires_at)
VALUES (@id, @host_id, @issuer, @public_key, now() + @use::interval, now() + @publish::interval);

-- name: IsIdentityKeyInUse :one
-- Whether a host may still sign with its key.
SELECT EXISTS (
    SELECT FROM identity_keys WHERE id = @id AND host_id = @host_id AND issuer = @issuer AND retires_at > now()
);

-- name: RetireIdentityKeys :exec
-- The keys of a host except its current one. Tokens that they signed stay valid for a
-- while, in which the keys are published.
UPDATE identity_keys SET retires_at = least(retires_at, now()), expires_at = least(expires_at, now() + @publish::interval)
WHERE host_id = @host_id AND id <> @current_id::text;

-- name: ListIdentityKeys :many
-- The published keys of trusted hosts, newest first. The host on the control plane's
-- machine has no address and no certificate. Served by identity_keys_by_expiry.
SELECT k.id, k.public_key FROM identity_keys k JOIN hosts h ON h.id = k.host_id
WHERE k.expires_at > now() AND h.state <> 'retired'
    AND (h.address = '' OR EXISTS (SELECT FROM host_certificates c WHERE c.host_id = h.id AND c.revoked_at IS NULL))
ORDER BY k.created_at DESC, k.id;

-- name: DeleteExpiredIdentityKeys :exec
DELETE FROM identity_keys WHERE expires_at <= now();

-- name: DeleteIdentityKeys :exec
-- Of a host that is no longer trusted: its tokens become invalid.
DELETE FROM identity_keys WHERE host_id = $1;
