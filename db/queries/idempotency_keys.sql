-- name: ClaimIdempotencyKey :execrows
-- Of many at once one claims a key. One that has expired is as good as none.
INSERT INTO idempotency_keys (team_id, key, request_hash, claimant)
VALUES (@team_id, @key, @request_hash, @claimant)
ON CONFLICT (team_id, key) DO UPDATE SET request_hash = excluded.request_hash, sandbox_id = NULL, done = false,
    claimant = excluded.claimant, created_at = now()
WHERE idempotency_keys.created_at < now() - @life::interval;

-- name: GetIdempotencyKey :one
-- under_way says that its claimant lives and has not taken longer than any
-- create may.
SELECT request_hash, sandbox_id, done, claimant,
    (claimant_alive(claimant) AND created_at > now() - @longest::interval)::boolean AS under_way
FROM idempotency_keys WHERE team_id = @team_id AND key = @key;

-- name: TakeOverIdempotencyKey :execrows
-- Compare and set on who had it and what it had come to.
UPDATE idempotency_keys SET claimant = @claimant, sandbox_id = NULL, created_at = now()
WHERE team_id = @team_id AND key = @key AND NOT done AND claimant = @before
    AND sandbox_id IS NOT DISTINCT FROM sqlc.narg('sandbox_id');

-- name: LinkIdempotencyKey :exec
-- In the transaction that stores the sandbox.
UPDATE idempotency_keys SET sandbox_id = @sandbox_id
WHERE team_id = @team_id AND key = @key AND claimant = @claimant AND NOT done;

-- name: FinishIdempotencyKey :execrows
UPDATE idempotency_keys SET done = true
WHERE team_id = @team_id AND key = @key AND sandbox_id = @sandbox_id;

-- name: ForgetIdempotencyKey :exec
-- Of a request that came to nothing: it may be tried again.
DELETE FROM idempotency_keys WHERE team_id = @team_id AND key = @key AND claimant = @claimant AND NOT done;

-- name: DeleteIdempotencyKeys :execrows
-- Served by idempotency_keys_by_age.
DELETE FROM idempotency_keys k WHERE (k.team_id, k.key) IN (
    SELECT o.team_id, o.key FROM idempotency_keys o WHERE o.created_at < now() - @life::interval
    ORDER BY o.created_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
);
