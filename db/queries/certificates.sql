-- name: CreateHostToken :one
INSERT INTO host_tokens (id, token_hash, tags, expires_at) VALUES ($1, $2, $3, now() + @lifetime::interval)
RETURNING *;

-- name: UseHostToken :one
-- A token is used up by the one who updates its row first.
UPDATE host_tokens SET used_at = now(), host_id = NULL
WHERE token_hash = $1 AND used_at IS NULL AND expires_at > now()
RETURNING *;

-- name: SetTokenHost :exec
UPDATE host_tokens SET host_id = $2 WHERE id = $1;

-- name: StoreAuthority :exec
-- Of several replicas that start together the first one's authority is kept.
INSERT INTO certificate_authority (certificate, sealed_key) VALUES ($1, $2) ON CONFLICT (singleton) DO NOTHING;

-- name: GetAuthority :one
SELECT * FROM certificate_authority;

-- name: StoreCertificate :exec
INSERT INTO host_certificates (fingerprint, host_id, expires_at) VALUES ($1, $2, $3);

-- name: FindCertificate :one
-- A certificate that opens its host now.
SELECT c.host_id, c.expires_at FROM host_certificates c JOIN hosts h ON h.id = c.host_id
WHERE c.fingerprint = $1 AND c.revoked_at IS NULL AND c.expires_at > now() AND h.state <> 'retired';

-- name: RevokeCertificates :execrows
UPDATE host_certificates SET revoked_at = now() WHERE host_id = $1 AND revoked_at IS NULL;

-- name: ReplaceAuthorityKey :exec
-- Compare and set on what was read.
UPDATE certificate_authority SET sealed_key = @sealed_key WHERE sealed_key = @old_key;
