-- name: CountSealed :many
-- How many values each secret key has sealed. Its ID follows one byte of format.
SELECT substring(v.sealed FROM 2 FOR 8)::bytea AS key_id, count(*) AS sealed FROM (
    SELECT sealed_config AS sealed FROM channels
    UNION ALL SELECT totp_secret FROM users WHERE totp_secret IS NOT NULL
    UNION ALL SELECT sealed_value FROM secrets
    UNION ALL SELECT sealed_confidential FROM build_requests WHERE sealed_confidential IS NOT NULL
    UNION ALL SELECT sealed_key FROM certificate_authority
) v GROUP BY 1 ORDER BY 1;
