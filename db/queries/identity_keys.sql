-- name: CreateIdentityKey :exec
INSERT INTO identity_keys (id, host_id, issuer, public_key, retires_at, expires_at)
VALUES (@id, @host_id, @issuer, @public_key, now() + @use::interval, now() + @publish::interval);

-- name: IsIdentityKeyInUse :one
-- Whether a host may go on with the key that it says it has.
SELECT EXISTS (
    SELECT FROM identity_keys WHERE id = @id AND host_id = @host_id AND issuer = @issuer AND retires_at > now()
);

-- name: RetireIdentityKeys :exec
-- Those of a host that are not the one it has now. What they have signed stays valid
-- for a while, in which they are published.
UPDATE identity_keys SET retires_at = least(retires_at, now()), expires_at = least(expires_at, now() + @publish::interval)
WHERE host_id = @host_id AND id <> @current_id::text;

-- name: ListIdentityKeys :many
-- Newest first: what is published, of hosts that are trusted. The one on this machine
-- has no address and no certificate. Served by identity_keys_by_expiry.
SELECT k.id, k.public_key FROM identity_keys k JOIN hosts h ON h.id = k.host_id
WHERE k.expires_at > now() AND h.state <> 'retired'
    AND (h.address = '' OR EXISTS (SELECT FROM host_certificates c WHERE c.host_id = h.id AND c.revoked_at IS NULL))
ORDER BY k.created_at DESC, k.id;

-- name: DeleteExpiredIdentityKeys :exec
DELETE FROM identity_keys WHERE expires_at <= now();

-- name: DeleteIdentityKeys :exec
-- Of a host that is trusted no more: its tokens are valid no more.
DELETE FROM identity_keys WHERE host_id = $1;
