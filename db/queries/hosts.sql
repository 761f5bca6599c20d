-- name: EnsureHost :one
-- The host on this machine, which is bound by what its agent measures and not by
-- what it has promised.
INSERT INTO hosts (id, name, vcpu_overcommit, memory_overcommit, disk_overcommit) VALUES ($1, $2, 1024, 1024, 1024)
ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
RETURNING *;

-- name: JoinHost :one
-- A machine may join again under its name as long as it has not been reached.
INSERT INTO hosts (id, name, address, tags, vcpu_overcommit, memory_overcommit, disk_overcommit)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) DO UPDATE SET address = EXCLUDED.address, tags = EXCLUDED.tags WHERE hosts.state = 'pending'
RETURNING *;

-- name: FreeHostName :exec
-- Lets another machine have the name of one that is retired.
UPDATE hosts SET name = name || ' (retired ' || id || ')' WHERE id = $1;

-- name: UpdateHost :one
UPDATE hosts SET version = $2, driver = $3, accelerator = $4, cpu_count = $5,
    memory_total_bytes = $6, disk_total_bytes = $7, last_seen_at = now()
WHERE id = $1
RETURNING *;

-- name: UpdateHostLoad :exec
-- What may be promised follows what the host says it has.
INSERT INTO host_loads AS l (host_id, vcpu_capacity, memory_mib_capacity, disk_mib_capacity, memory_available_bytes, disk_available_bytes)
SELECT h.id, floor(h.cpu_count * h.vcpu_overcommit)::bigint, floor(h.memory_total_bytes / 1048576 * h.memory_overcommit::float8)::bigint,
    floor(h.disk_total_bytes / 1048576 * h.disk_overcommit::float8)::bigint, @memory_available_bytes, @disk_available_bytes
FROM hosts h WHERE h.id = @host_id
ON CONFLICT (host_id) DO UPDATE SET vcpu_capacity = EXCLUDED.vcpu_capacity,
    memory_mib_capacity = EXCLUDED.memory_mib_capacity, disk_mib_capacity = EXCLUDED.disk_mib_capacity,
    memory_available_bytes = EXCLUDED.memory_available_bytes, disk_available_bytes = EXCLUDED.disk_available_bytes;

-- name: CountHostCreate :exec
-- Counts the create of a sandbox that this transaction has updated (RecordSandboxEvent).
UPDATE host_loads l SET create_successes = l.create_successes + 1
FROM sandboxes s WHERE s.id = @sandbox_id AND s.xmin = pg_current_xact_id()::xid AND l.host_id = s.host_id;

-- name: CountHostCreateFailure :exec
UPDATE host_loads SET create_failures = create_failures + 1 WHERE host_id = $1;

-- name: SetHostState :one
-- Compare and set on the state.
UPDATE hosts SET state = @next_state, state_changed_at = now(), drain_wanted = @drain_wanted
WHERE id = @id AND state = @from_state
RETURNING *;

-- name: FollowHosts :exec
-- Takes hosts that no living control plane follows. SKIP LOCKED lets replicas
-- share them. The host on this machine is followed by whoever runs beside it.
UPDATE hosts SET follower = @follower
WHERE id IN (
    SELECT h.id FROM hosts h
    WHERE h.state <> 'retired' AND h.address <> '' AND h.follower <> ALL ((SELECT living_claimants())::integer[])
    ORDER BY h.id LIMIT @batch::integer FOR NO KEY UPDATE SKIP LOCKED
);

-- name: AddHostBuild :exec
INSERT INTO host_builds AS x (host_id, build_id, driver, accelerator) VALUES ($1, $2, $3, $4)
ON CONFLICT (host_id, build_id) DO UPDATE SET driver = EXCLUDED.driver, accelerator = EXCLUDED.accelerator
    WHERE (x.driver, x.accelerator) <> (EXCLUDED.driver, EXCLUDED.accelerator);

-- name: AddReadyHostBuild :exec
INSERT INTO host_builds AS x (host_id, build_id, driver, accelerator)
SELECT @host_id::uuid, b.id, @driver::text, @accelerator::text FROM template_builds b WHERE b.id = @build_id AND b.status = 'ready'
ON CONFLICT (host_id, build_id) DO UPDATE SET driver = EXCLUDED.driver, accelerator = EXCLUDED.accelerator
    WHERE (x.driver, x.accelerator) <> (EXCLUDED.driver, EXCLUDED.accelerator);

-- name: RemoveOtherHostBuilds :exec
-- Hosts list the builds of the installation's templates only; those of teams, built or
-- taken of sandboxes, stay.
DELETE FROM host_builds h WHERE h.host_id = $1 AND NOT (h.build_id = ANY (@build_ids::uuid[]))
    AND NOT EXISTS (SELECT FROM template_builds b JOIN templates t ON t.id = b.template_id
        WHERE b.id = h.build_id AND t.team_id IS NOT NULL);

-- name: GetHost :one
SELECT * FROM hosts WHERE id = $1;

-- name: ListHosts :many
SELECT * FROM hosts WHERE state <> 'retired' ORDER BY name;

-- name: GetHostLoad :one
SELECT sqlc.embed(h), sqlc.embed(l),
    (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state = 'creating')::integer AS starting_count,
    (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state = 'paused')::integer AS paused_count,
    (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state = 'broken')::integer AS failed_count
FROM hosts h JOIN host_loads l ON l.host_id = h.id
WHERE h.id = $1 AND h.state <> 'retired';

-- name: ListHostLoads :many
SELECT sqlc.embed(h), sqlc.embed(l),
    (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state = 'creating')::integer AS starting_count,
    (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state = 'paused')::integer AS paused_count,
    (SELECT count(*) FROM sandboxes s WHERE s.host_id = h.id AND s.state = 'broken')::integer AS failed_count
FROM hosts h JOIN host_loads l ON l.host_id = h.id
WHERE h.state <> 'retired' ORDER BY h.name;

-- name: ListSchedulable :many
-- What a scheduler needs to know of every host that may get sandboxes.
SELECT h.id, h.tags, h.driver, l.vcpu_capacity, l.memory_mib_capacity, l.disk_mib_capacity,
    l.vcpu_allocated, l.memory_mib_allocated, l.disk_mib_allocated,
    ARRAY(SELECT b.build_id FROM startable_host_builds b WHERE b.host_id = h.id ORDER BY b.build_id)::uuid[] AS builds
FROM hosts h JOIN host_loads l ON l.host_id = h.id
WHERE h.state = 'ready' ORDER BY h.id;

-- name: ListPlacementGroups :many
-- Served by the index sandboxes_by_group.
SELECT s.host_id, s.placement_group, count(*)::integer AS members FROM sandboxes s
WHERE s.occupies AND s.placement_group <> '' GROUP BY s.host_id, s.placement_group;

-- name: LockHostRoom :one
-- Holds the host's room until the placement commits, so that nobody else can
-- promise it, and its state, so that a host that is drained has no placement under
-- way. It answers nothing where there is no room.
SELECT l.* FROM host_loads l JOIN hosts h ON h.id = l.host_id
WHERE l.host_id = @host_id AND h.state = 'ready'
    AND (l.vcpu_allocated + @vcpu_count::bigint <= l.vcpu_capacity OR @vcpu_count::bigint = 0)
    AND (l.memory_mib_allocated + @memory_mib::bigint <= l.memory_mib_capacity OR @memory_mib::bigint = 0)
    AND (l.disk_mib_allocated + @disk_mib::bigint <= l.disk_mib_capacity OR @disk_mib::bigint = 0)
FOR UPDATE OF l FOR SHARE OF h;

-- name: HasSeenHost :one
SELECT EXISTS (SELECT 1 FROM hosts WHERE last_seen_at IS NOT NULL);

-- name: HostSuits :one
-- The driver of a host that has all of the tags and, where one is asked for, the build,
-- which it can start.
SELECT h.driver FROM hosts h WHERE h.id = @host_id AND h.tags @> @tags::text[]
    AND (sqlc.narg(build_id)::uuid IS NULL OR EXISTS (
        SELECT FROM startable_host_builds b WHERE b.host_id = h.id AND b.build_id = sqlc.narg(build_id)::uuid
    ));

-- name: ListBuildOnHosts :many
-- Every host that has been reached, whether it has a build, and what its copy starts with.
SELECT h.id, h.driver, h.accelerator, (b.build_id IS NOT NULL)::boolean AS has,
    coalesce(b.driver, '')::text AS made_by_driver, coalesce(b.accelerator, '')::text AS made_by_accelerator
FROM hosts h LEFT JOIN host_builds b ON b.host_id = h.id AND b.build_id = sqlc.narg(build_id)::uuid
WHERE h.state <> 'retired' AND h.driver <> '' ORDER BY h.name;
