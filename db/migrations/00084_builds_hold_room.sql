-- +goose Up

-- The room that a build takes on its host while it is worked on; zero before and after.
ALTER TABLE build_requests
    ADD COLUMN held_vcpus integer NOT NULL DEFAULT 0,
    ADD COLUMN held_memory_mib integer NOT NULL DEFAULT 0,
    ADD COLUMN held_disk_mib integer NOT NULL DEFAULT 0;

-- The host that has the uploads of a build, which are copied to the one that builds where
-- that is another.
ALTER TABLE build_requests ADD COLUMN files_host_id uuid REFERENCES hosts (id) ON DELETE SET NULL;
UPDATE build_requests SET files_host_id = host_id;
CREATE INDEX build_requests_by_files_host ON build_requests (files_host_id);

-- What hosts have promised to builds. A build may move to another host.
-- +goose StatementBegin
CREATE FUNCTION build_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE host_loads l SET vcpu_allocated = l.vcpu_allocated + c.vcpus, memory_mib_allocated = l.memory_mib_allocated + c.memory,
        disk_mib_allocated = l.disk_mib_allocated + c.disk
    FROM (SELECT host, sum(v)::bigint AS vcpus, sum(m)::bigint AS memory, sum(d)::bigint AS disk FROM (VALUES
        (OLD.host_id, -OLD.held_vcpus, -OLD.held_memory_mib, -OLD.held_disk_mib),
        (NEW.host_id, NEW.held_vcpus, NEW.held_memory_mib, NEW.held_disk_mib)) AS x (host, v, m, d) GROUP BY host) AS c
    WHERE l.host_id = c.host AND (c.vcpus, c.memory, c.disk) <> (0, 0, 0);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER build_account AFTER UPDATE OF host_id, held_vcpus, held_memory_mib, held_disk_mib OR DELETE ON build_requests
    FOR EACH ROW EXECUTE FUNCTION build_account();

UPDATE build_requests r SET held_vcpus = b.vcpu_count, held_memory_mib = b.memory_mib, held_disk_mib = b.disk_mib
FROM template_builds b WHERE b.id = r.build_id AND b.status = 'building';

-- +goose Down

UPDATE build_requests SET held_vcpus = 0, held_memory_mib = 0, held_disk_mib = 0 WHERE held_vcpus + held_memory_mib + held_disk_mib > 0;
DROP TRIGGER build_account ON build_requests;
DROP FUNCTION build_account;
ALTER TABLE build_requests DROP COLUMN files_host_id, DROP COLUMN held_vcpus, DROP COLUMN held_memory_mib, DROP COLUMN held_disk_mib;
