-- The schema that all migrations lead to; make generate writes it.

CREATE TYPE public.river_job_state AS ENUM (
    'available',
    'cancelled',
    'completed',
    'discarded',
    'pending',
    'retryable',
    'running',
    'scheduled'
);

CREATE FUNCTION public.audit_keep() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION public.audit_stamp() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION public.build_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE host_loads l SET vcpu_allocated = l.vcpu_allocated + c.vcpus, memory_mib_allocated = l.memory_mib_allocated + c.memory,
        disk_mib_allocated = l.disk_mib_allocated + c.disk
    FROM (SELECT host, sum(v)::bigint AS vcpus, sum(m)::bigint AS memory, sum(d)::bigint AS disk FROM (VALUES
        (OLD.host_id, -OLD.held_vcpus, -OLD.held_memory_mib, -OLD.held_disk_mib),
        (NEW.host_id, NEW.held_vcpus, NEW.held_memory_mib, NEW.held_disk_mib)) AS x (host, v, m, d) GROUP BY host) AS c
    WHERE l.host_id = c.host AND (c.vcpus, c.memory, c.disk) <> (0, 0, 0);
    RETURN NULL;
END $$;

CREATE FUNCTION public.claimant_alive(claimant integer) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT claimant <> 0 AND claimant = ANY (living_claimants())
$$;

CREATE FUNCTION public.event_announce() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('wrenn_events', '');
    RETURN NULL;
END $$;

CREATE FUNCTION public.event_order() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1467114863, hashtext(NEW.team_id::text));
    NEW.id := nextval('event_ids');
    RETURN NEW;
END $$;

CREATE FUNCTION public.host_announce() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_TABLE_NAME = 'host_certificates' THEN
        PERFORM pg_notify('wrenn_hosts', NEW.host_id::text);
    ELSE
        PERFORM pg_notify('wrenn_hosts', '');
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.living_claimants() RETURNS integer[]
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(array_agg(objid::bigint::integer), '{}') FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = 1467114862::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;

CREATE FUNCTION public.river_job_state_in_bitmask(bitmask bit, state public.river_job_state) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE state
        WHEN 'available' THEN get_bit(bitmask, 7)
        WHEN 'cancelled' THEN get_bit(bitmask, 6)
        WHEN 'completed' THEN get_bit(bitmask, 5)
        WHEN 'discarded' THEN get_bit(bitmask, 4)
        WHEN 'pending'   THEN get_bit(bitmask, 3)
        WHEN 'retryable' THEN get_bit(bitmask, 2)
        WHEN 'running'   THEN get_bit(bitmask, 1)
        WHEN 'scheduled' THEN get_bit(bitmask, 0)
        ELSE 0
    END = 1;
$$;

CREATE FUNCTION public.sandbox_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    s sandboxes := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    machines integer := coalesce(NEW.occupies::integer, 0) - coalesce(OLD.occupies::integer, 0);
    vcpus bigint := coalesce(NEW.occupies::integer * NEW.vcpu_count, 0) - coalesce(OLD.occupies::integer * OLD.vcpu_count, 0);
    memory bigint := coalesce(NEW.occupies::integer * NEW.memory_mib, 0) - coalesce(OLD.occupies::integer * OLD.memory_mib, 0);
    disk bigint := coalesce((NEW.state NOT IN ('killed', 'failed'))::integer * NEW.disk_mib, 0)
        - coalesce((OLD.state NOT IN ('killed', 'failed'))::integer * OLD.disk_mib, 0);
    ran boolean := coalesce(OLD.state IN ('running', 'pausing'), false);
    runs boolean := coalesce(NEW.state IN ('running', 'pausing'), false);
    other boolean := (runs, NEW.vcpu_count, NEW.memory_mib) IS DISTINCT FROM (ran, OLD.vcpu_count, OLD.memory_mib);
BEGIN
    IF (machines, vcpus, memory, disk) <> (0, 0, 0, 0) THEN
        INSERT INTO team_use AS u (team_id, sandbox_count, vcpu_count, memory_mib, disk_mib) VALUES (s.team_id, machines, vcpus, memory, disk)
        ON CONFLICT (team_id) DO UPDATE SET sandbox_count = u.sandbox_count + machines,
            vcpu_count = u.vcpu_count + vcpus, memory_mib = u.memory_mib + memory, disk_mib = u.disk_mib + disk;
        INSERT INTO host_loads AS l (host_id, sandbox_count, vcpu_allocated, memory_mib_allocated, disk_mib_allocated)
        VALUES (s.host_id, machines, vcpus, memory, disk)
        ON CONFLICT (host_id) DO UPDATE SET sandbox_count = l.sandbox_count + machines, vcpu_allocated = l.vcpu_allocated + vcpus,
            memory_mib_allocated = l.memory_mib_allocated + memory, disk_mib_allocated = l.disk_mib_allocated + disk;
    END IF;
    IF ran AND other THEN
        UPDATE usage_intervals SET ended_at = greatest(now(), started_at) WHERE sandbox_id = s.id AND ended_at IS NULL;
    END IF;
    IF runs AND other THEN
        INSERT INTO usage_intervals (sandbox_id, team_id, vcpu_count, memory_mib) VALUES (s.id, s.team_id, s.vcpu_count, s.memory_mib);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.sandbox_set_occupies() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state <> 'killing' THEN
        NEW.occupies := NEW.state IN ('creating', 'running', 'pausing', 'resuming');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.secret_names(network jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$
    SELECT coalesce(array_agg(DISTINCT lower(found[1])), '{}')
    FROM regexp_matches(network ->> 'rules', '\$\{e2b\.secrets\.([a-zA-Z0-9_-]+)\}', 'g') found
$_$;

CREATE TABLE public.access_tokens (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    token_hash bytea NOT NULL,
    token_prefix text NOT NULL,
    value_length integer NOT NULL,
    masked_prefix text NOT NULL,
    masked_suffix text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT access_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.api_keys (
    id uuid NOT NULL,
    team_id uuid NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL,
    key_prefix text NOT NULL,
    value_length integer NOT NULL,
    masked_prefix text NOT NULL,
    masked_suffix text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    scopes text[],
    expires_at timestamp with time zone,
    created_by uuid,
    CONSTRAINT api_keys_key_hash_check CHECK ((octet_length(key_hash) = 32))
);

CREATE TABLE public.audit_entries (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    team_id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    action text NOT NULL,
    resource_kind text NOT NULL,
    resource_id text NOT NULL,
    outcome text NOT NULL,
    status integer NOT NULL,
    address text NOT NULL,
    user_agent text NOT NULL,
    request_id text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_entries_outcome_check CHECK ((outcome = ANY (ARRAY['success'::text, 'denied'::text, 'failure'::text])))
);

ALTER TABLE public.audit_entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.build_logs (
    build_id uuid NOT NULL,
    number bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    level text NOT NULL,
    step text NOT NULL,
    text text NOT NULL,
    CONSTRAINT build_logs_level_check CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'warn'::text, 'error'::text])))
);

CREATE TABLE public.build_requests (
    build_id uuid NOT NULL,
    template_id text NOT NULL,
    team_id uuid NOT NULL,
    host_id uuid NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    min_free_disk_mib integer DEFAULT 0 NOT NULL,
    definition jsonb,
    sealed_confidential bytea,
    cancel_wanted boolean DEFAULT false NOT NULL,
    claimant integer DEFAULT 0 NOT NULL,
    turn integer DEFAULT 0 NOT NULL,
    turn_at timestamp with time zone DEFAULT now() NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    log_sequence bigint DEFAULT 0 NOT NULL,
    log_entries bigint DEFAULT 0 NOT NULL,
    log_bytes bigint DEFAULT 0 NOT NULL,
    failure_cause text DEFAULT ''::text NOT NULL,
    failure_step text DEFAULT ''::text NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    image_digest text DEFAULT ''::text NOT NULL,
    started_at timestamp with time zone,
    held_vcpus integer DEFAULT 0 NOT NULL,
    held_memory_mib integer DEFAULT 0 NOT NULL,
    held_disk_mib integer DEFAULT 0 NOT NULL,
    files_host_id uuid
);

CREATE TABLE public.build_usage (
    id bigint NOT NULL,
    build_id uuid NOT NULL,
    team_id uuid NOT NULL,
    vcpu_count integer NOT NULL,
    memory_mib integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT build_usage_check CHECK ((ended_at >= started_at))
);

ALTER TABLE public.build_usage ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.build_usage_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.certificate_authority (
    singleton boolean DEFAULT true NOT NULL,
    certificate bytea NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT certificate_authority_singleton_check CHECK (singleton)
);

CREATE TABLE public.channel_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    status_code integer DEFAULT 0 NOT NULL,
    error text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.channel_deliveries (
    id uuid NOT NULL,
    channel_id uuid NOT NULL,
    event_id bigint NOT NULL,
    event jsonb NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempt_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    next_attempt_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT channel_deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text])))
);

CREATE TABLE public.channels (
    id uuid NOT NULL,
    team_id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    target text NOT NULL,
    sealed_config bytea NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    hidden_kinds text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT channels_kind_check CHECK ((kind = ANY (ARRAY['webhook'::text, 'slack'::text, 'discord'::text, 'teams'::text, 'google_chat'::text, 'telegram'::text, 'matrix'::text, 'email'::text])))
);

CREATE SEQUENCE public.event_ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.events (
    id bigint NOT NULL,
    team_id uuid NOT NULL,
    type text NOT NULL,
    resource_id text NOT NULL,
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    dispatched boolean DEFAULT false NOT NULL,
    CONSTRAINT events_type_check CHECK ((type ~ '^[a-z]+(\.[a-z_]+)+$'::text))
);

CREATE TABLE public.host_builds (
    host_id uuid NOT NULL,
    build_id uuid NOT NULL,
    driver text DEFAULT ''::text NOT NULL,
    accelerator text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.host_certificates (
    fingerprint bytea NOT NULL,
    host_id uuid NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT host_certificates_fingerprint_check CHECK ((octet_length(fingerprint) = 32))
);

CREATE TABLE public.host_loads (
    host_id uuid NOT NULL,
    vcpu_capacity bigint DEFAULT 0 NOT NULL,
    memory_mib_capacity bigint DEFAULT 0 NOT NULL,
    disk_mib_capacity bigint DEFAULT 0 NOT NULL,
    vcpu_allocated bigint DEFAULT 0 NOT NULL,
    memory_mib_allocated bigint DEFAULT 0 NOT NULL,
    disk_mib_allocated bigint DEFAULT 0 NOT NULL,
    sandbox_count integer DEFAULT 0 NOT NULL,
    memory_available_bytes bigint DEFAULT 0 NOT NULL,
    disk_available_bytes bigint DEFAULT 0 NOT NULL,
    create_successes bigint DEFAULT 0 NOT NULL,
    create_failures bigint DEFAULT 0 NOT NULL
);

CREATE TABLE public.host_tokens (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    host_id uuid,
    CONSTRAINT host_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.hosts (
    id uuid NOT NULL,
    name text NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    driver text DEFAULT ''::text NOT NULL,
    accelerator text DEFAULT ''::text NOT NULL,
    cpu_count integer DEFAULT 0 NOT NULL,
    memory_total_bytes bigint DEFAULT 0 NOT NULL,
    disk_total_bytes bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone,
    state text DEFAULT 'pending'::text NOT NULL,
    state_changed_at timestamp with time zone DEFAULT now() NOT NULL,
    drain_wanted boolean DEFAULT false NOT NULL,
    address text DEFAULT ''::text NOT NULL,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    follower integer DEFAULT 0 NOT NULL,
    vcpu_overcommit real DEFAULT 1 NOT NULL,
    memory_overcommit real DEFAULT 1 NOT NULL,
    disk_overcommit real DEFAULT 1 NOT NULL,
    CONSTRAINT hosts_disk_overcommit_check CHECK ((disk_overcommit > (0)::double precision)),
    CONSTRAINT hosts_memory_overcommit_check CHECK ((memory_overcommit > (0)::double precision)),
    CONSTRAINT hosts_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'ready'::text, 'draining'::text, 'unreachable'::text, 'retired'::text]))),
    CONSTRAINT hosts_vcpu_overcommit_check CHECK ((vcpu_overcommit > (0)::double precision))
);

CREATE TABLE public.idempotency_keys (
    team_id uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    sandbox_id text,
    done boolean DEFAULT false NOT NULL,
    claimant integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.identity_keys (
    id text NOT NULL,
    host_id uuid NOT NULL,
    issuer text NOT NULL,
    public_key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retires_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT identity_keys_check CHECK ((expires_at >= retires_at)),
    CONSTRAINT identity_keys_id_check CHECK ((id ~ '^[A-Za-z0-9_-]{43}$'::text))
);

CREATE TABLE public.one_time_tokens (
    token_hash bytea NOT NULL,
    purpose text NOT NULL,
    user_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT one_time_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['first_admin'::text, 'password_reset'::text, 'second_factor'::text, 'local_sign_in'::text]))),
    CONSTRAINT one_time_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.recovery_codes (
    user_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    CONSTRAINT recovery_codes_code_hash_check CHECK ((octet_length(code_hash) = 32))
);

CREATE TABLE public.river_job (
    id bigint NOT NULL,
    state public.river_job_state DEFAULT 'available'::public.river_job_state NOT NULL,
    attempt smallint DEFAULT 0 NOT NULL,
    max_attempts smallint DEFAULT 25 NOT NULL,
    attempted_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finalized_at timestamp with time zone,
    scheduled_at timestamp with time zone DEFAULT now() NOT NULL,
    priority smallint DEFAULT 1 NOT NULL,
    args jsonb NOT NULL,
    attempted_by text[],
    errors jsonb[],
    kind text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    queue text DEFAULT 'default'::text NOT NULL,
    tags character varying(255)[] DEFAULT '{}'::character varying[] NOT NULL,
    unique_key bytea,
    unique_states bit(8),
    CONSTRAINT finalized_or_finalized_at_null CHECK ((((finalized_at IS NULL) AND (state <> ALL (ARRAY['cancelled'::public.river_job_state, 'completed'::public.river_job_state, 'discarded'::public.river_job_state]))) OR ((finalized_at IS NOT NULL) AND (state = ANY (ARRAY['cancelled'::public.river_job_state, 'completed'::public.river_job_state, 'discarded'::public.river_job_state]))))),
    CONSTRAINT kind_length CHECK (((char_length(kind) > 0) AND (char_length(kind) < 128))),
    CONSTRAINT max_attempts_is_positive CHECK ((max_attempts > 0)),
    CONSTRAINT priority_in_range CHECK (((priority >= 1) AND (priority <= 4))),
    CONSTRAINT queue_length CHECK (((char_length(queue) > 0) AND (char_length(queue) < 128)))
);

CREATE SEQUENCE public.river_job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.river_job_id_seq OWNED BY public.river_job.id;

CREATE UNLOGGED TABLE public.river_leader (
    elected_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    leader_id text NOT NULL,
    name text DEFAULT 'default'::text NOT NULL,
    CONSTRAINT leader_id_length CHECK (((char_length(leader_id) > 0) AND (char_length(leader_id) < 128))),
    CONSTRAINT name_length CHECK ((name = 'default'::text))
);

CREATE TABLE public.river_migration (
    line text NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT line_length CHECK (((char_length(line) > 0) AND (char_length(line) < 128))),
    CONSTRAINT version_gte_1 CHECK ((version >= 1))
);

CREATE TABLE public.river_notification (
    id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    payload text NOT NULL,
    topic text NOT NULL,
    CONSTRAINT topic_length CHECK (((length(topic) > 0) AND (length(topic) < 128)))
);

CREATE SEQUENCE public.river_notification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.river_notification_id_seq OWNED BY public.river_notification.id;

CREATE TABLE public.river_queue (
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    paused_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);

CREATE TABLE public.sandbox_logs (
    id bigint NOT NULL,
    sandbox_id text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT sandbox_logs_level_check CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'warn'::text, 'error'::text])))
);

ALTER TABLE public.sandbox_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sandbox_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.sandbox_samples (
    sandbox_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    cpu_count integer NOT NULL,
    cpu_used_pct real NOT NULL,
    mem_used bigint NOT NULL,
    mem_total bigint NOT NULL,
    mem_cache bigint NOT NULL,
    disk_used bigint NOT NULL,
    disk_total bigint NOT NULL
);

CREATE TABLE public.sandboxes (
    id text NOT NULL,
    team_id uuid NOT NULL,
    host_id uuid NOT NULL,
    template_id text NOT NULL,
    alias text DEFAULT ''::text NOT NULL,
    build_id uuid NOT NULL,
    state text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    claimant integer DEFAULT 0 NOT NULL,
    state_changed_at timestamp with time zone DEFAULT now() NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    end_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    auto_pause boolean NOT NULL,
    allow_internet_access boolean,
    network jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    vcpu_count integer NOT NULL,
    memory_mib integer NOT NULL,
    disk_mib integer NOT NULL,
    envd_version text NOT NULL,
    occupies boolean DEFAULT false NOT NULL,
    placement_group text DEFAULT ''::text NOT NULL,
    lifetime interval DEFAULT '00:05:00'::interval NOT NULL,
    auto_pause_memory boolean DEFAULT true NOT NULL,
    auto_resume boolean DEFAULT false NOT NULL,
    without_memory boolean DEFAULT false NOT NULL,
    forked_from text DEFAULT ''::text NOT NULL,
    secret_names text[] GENERATED ALWAYS AS (public.secret_names(network)) STORED NOT NULL,
    volume_mounts jsonb DEFAULT '[]'::jsonb NOT NULL,
    token_epoch bigint DEFAULT 0 NOT NULL,
    secure boolean DEFAULT true NOT NULL,
    guest_unresponsive boolean DEFAULT false NOT NULL,
    iam_tokens jsonb,
    end_cause text DEFAULT ''::text NOT NULL,
    isolation text DEFAULT ''::text NOT NULL,
    CONSTRAINT sandboxes_end_cause_check CHECK ((end_cause = ANY (ARRAY[''::text, 'killed'::text, 'expired'::text, 'not_created'::text, 'ended_on_host'::text, 'host_retired'::text]))),
    CONSTRAINT sandboxes_id_check CHECK ((id ~ '^[a-z0-9]{8,40}$'::text)),
    CONSTRAINT sandboxes_isolation_check CHECK ((isolation = ANY (ARRAY[''::text, 'vm'::text, 'gvisor'::text]))),
    CONSTRAINT sandboxes_state_check CHECK ((state = ANY (ARRAY['creating'::text, 'running'::text, 'pausing'::text, 'paused'::text, 'resuming'::text, 'broken'::text, 'killing'::text, 'killed'::text, 'failed'::text])))
);

CREATE TABLE public.secrets (
    id text NOT NULL,
    team_id uuid NOT NULL,
    name text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    sealed_value bytea NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT secrets_id_check CHECK ((id ~ '^sec_[a-z0-9]{20}$'::text)),
    CONSTRAINT secrets_name_check CHECK (((name ~ '^[a-z0-9_-]{1,128}$'::text) AND (NOT starts_with(name, 'sec_'::text))))
);

CREATE VIEW public.startable_host_builds AS
 SELECT b.host_id,
    b.build_id,
    h.state AS host_state,
    h.driver AS host_driver
   FROM (public.host_builds b
     JOIN public.hosts h ON ((h.id = b.host_id)))
  WHERE ((b.driver = ''::text) OR ((b.driver = h.driver) AND (b.accelerator = h.accelerator)));

CREATE TABLE public.stray_builds (
    host_id uuid NOT NULL,
    build_id uuid NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.team_invitations (
    id uuid NOT NULL,
    team_id uuid NOT NULL,
    email text NOT NULL,
    role text NOT NULL,
    token_hash bytea NOT NULL,
    invited_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT team_invitations_email_check CHECK ((email = lower(email))),
    CONSTRAINT team_invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'viewer'::text]))),
    CONSTRAINT team_invitations_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.team_limits (
    team_id uuid NOT NULL,
    max_sandboxes integer,
    max_vcpu_count bigint,
    max_memory_mib bigint,
    max_disk_mib bigint,
    max_builds integer,
    max_creates_per_minute integer,
    max_volumes integer,
    max_volume_mib bigint,
    max_secrets integer,
    max_snapshots integer,
    max_sandbox_vcpu_count bigint,
    max_sandbox_memory_mib bigint,
    max_sandbox_disk_mib bigint,
    CONSTRAINT team_limits_max_builds_check CHECK ((max_builds >= 0)),
    CONSTRAINT team_limits_max_creates_per_minute_check CHECK ((max_creates_per_minute >= 0)),
    CONSTRAINT team_limits_max_disk_mib_check CHECK ((max_disk_mib >= 0)),
    CONSTRAINT team_limits_max_memory_mib_check CHECK ((max_memory_mib >= 0)),
    CONSTRAINT team_limits_max_sandbox_disk_mib_check CHECK ((max_sandbox_disk_mib >= 0)),
    CONSTRAINT team_limits_max_sandbox_memory_mib_check CHECK ((max_sandbox_memory_mib >= 0)),
    CONSTRAINT team_limits_max_sandbox_vcpu_count_check CHECK ((max_sandbox_vcpu_count >= 0)),
    CONSTRAINT team_limits_max_sandboxes_check CHECK ((max_sandboxes >= 0)),
    CONSTRAINT team_limits_max_secrets_check CHECK ((max_secrets >= 0)),
    CONSTRAINT team_limits_max_snapshots_check CHECK ((max_snapshots >= 0)),
    CONSTRAINT team_limits_max_vcpu_count_check CHECK ((max_vcpu_count >= 0)),
    CONSTRAINT team_limits_max_volume_mib_check CHECK ((max_volume_mib >= 0)),
    CONSTRAINT team_limits_max_volumes_check CHECK ((max_volumes >= 0))
);

CREATE TABLE public.team_members (
    team_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT team_members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'viewer'::text])))
);

CREATE TABLE public.team_use (
    team_id uuid NOT NULL,
    sandbox_count integer DEFAULT 0 NOT NULL,
    vcpu_count bigint DEFAULT 0 NOT NULL,
    memory_mib bigint DEFAULT 0 NOT NULL,
    disk_mib bigint DEFAULT 0 NOT NULL,
    create_allowance double precision DEFAULT 0 NOT NULL,
    create_refilled_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL
);

CREATE TABLE public.teams (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    token_epoch bigint DEFAULT 0 NOT NULL,
    isolation text DEFAULT ''::text NOT NULL,
    CONSTRAINT teams_isolation_check CHECK ((isolation = ANY (ARRAY[''::text, 'vm'::text, 'gvisor'::text])))
);

CREATE TABLE public.template_aliases (
    alias text NOT NULL,
    team_id uuid,
    template_id text NOT NULL
);

CREATE TABLE public.template_builds (
    id uuid NOT NULL,
    template_id text NOT NULL,
    status text NOT NULL,
    vcpu_count integer NOT NULL,
    memory_mib integer NOT NULL,
    disk_mib integer NOT NULL,
    envd_version text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    made_default boolean DEFAULT true NOT NULL,
    CONSTRAINT template_builds_status_check CHECK ((status = ANY (ARRAY['building'::text, 'waiting'::text, 'ready'::text, 'error'::text])))
);

CREATE TABLE public.template_tag_assignments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    template_id text NOT NULL,
    tag text NOT NULL,
    build_id uuid NOT NULL,
    assigned_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE VIEW public.template_tag_history AS
 SELECT a.id,
    a.template_id,
    a.tag,
    a.assigned_at,
    b.id AS build_id,
    b.created_at AS build_created_at,
    b.finished_at AS build_finished_at
   FROM (public.template_tag_assignments a
     JOIN public.template_builds b ON (((b.id = a.build_id) AND (b.status = 'ready'::text))))
UNION ALL
 SELECT b.id,
    b.template_id,
    'default'::text AS tag,
    b.created_at AS assigned_at,
    b.id AS build_id,
    b.created_at AS build_created_at,
    b.finished_at AS build_finished_at
   FROM public.template_builds b
  WHERE ((b.status = 'ready'::text) AND b.made_default);

CREATE TABLE public.template_tags (
    template_id text NOT NULL,
    tag text NOT NULL,
    build_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.templates (
    id text NOT NULL,
    team_id uuid,
    public boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_spawned_at timestamp with time zone,
    spawn_count bigint DEFAULT 0 NOT NULL,
    snapshot_of text,
    created_by uuid
);

CREATE TABLE public.usage_intervals (
    id bigint NOT NULL,
    sandbox_id text NOT NULL,
    team_id uuid NOT NULL,
    vcpu_count integer NOT NULL,
    memory_mib integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT usage_intervals_check CHECK ((ended_at >= started_at))
);

ALTER TABLE public.usage_intervals ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.usage_intervals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.user_identities (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.user_sessions (
    token_hash bytea NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    user_agent text DEFAULT ''::text NOT NULL,
    address text DEFAULT ''::text NOT NULL,
    CONSTRAINT user_sessions_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    email text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    password_hash text DEFAULT ''::text NOT NULL,
    platform_admin boolean DEFAULT false NOT NULL,
    totp_secret bytea,
    totp_confirmed_at timestamp with time zone,
    totp_last_step bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone,
    local boolean DEFAULT false NOT NULL,
    CONSTRAINT users_email_check CHECK ((email = lower(email)))
);

CREATE TABLE public.volumes (
    id text NOT NULL,
    team_id uuid NOT NULL,
    host_id uuid NOT NULL,
    name text NOT NULL,
    deleting boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    max_mib bigint DEFAULT 0 NOT NULL,
    CONSTRAINT volumes_id_check CHECK ((id ~ '^[a-z0-9]{8,40}$'::text)),
    CONSTRAINT volumes_max_mib_check CHECK ((max_mib >= 0))
);

ALTER TABLE ONLY public.river_job ALTER COLUMN id SET DEFAULT nextval('public.river_job_id_seq'::regclass);

ALTER TABLE ONLY public.river_notification ALTER COLUMN id SET DEFAULT nextval('public.river_notification_id_seq'::regclass);

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT access_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT access_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_entries
    ADD CONSTRAINT audit_entries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.build_logs
    ADD CONSTRAINT build_logs_pkey PRIMARY KEY (build_id, number);

ALTER TABLE ONLY public.build_requests
    ADD CONSTRAINT build_requests_pkey PRIMARY KEY (build_id);

ALTER TABLE ONLY public.build_usage
    ADD CONSTRAINT build_usage_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.certificate_authority
    ADD CONSTRAINT certificate_authority_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.channel_attempts
    ADD CONSTRAINT channel_attempts_pkey PRIMARY KEY (delivery_id, number);

ALTER TABLE ONLY public.channel_deliveries
    ADD CONSTRAINT channel_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.host_builds
    ADD CONSTRAINT host_builds_pkey PRIMARY KEY (host_id, build_id);

ALTER TABLE ONLY public.host_certificates
    ADD CONSTRAINT host_certificates_pkey PRIMARY KEY (fingerprint);

ALTER TABLE ONLY public.host_loads
    ADD CONSTRAINT host_loads_pkey PRIMARY KEY (host_id);

ALTER TABLE ONLY public.host_tokens
    ADD CONSTRAINT host_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.host_tokens
    ADD CONSTRAINT host_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.hosts
    ADD CONSTRAINT hosts_name_key UNIQUE (name);

ALTER TABLE ONLY public.hosts
    ADD CONSTRAINT hosts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (team_id, key);

ALTER TABLE ONLY public.identity_keys
    ADD CONSTRAINT identity_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_hash);

ALTER TABLE ONLY public.river_job
    ADD CONSTRAINT river_job_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.river_leader
    ADD CONSTRAINT river_leader_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.river_migration
    ADD CONSTRAINT river_migration_pkey1 PRIMARY KEY (line, version);

ALTER TABLE ONLY public.river_notification
    ADD CONSTRAINT river_notification_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.river_queue
    ADD CONSTRAINT river_queue_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.sandbox_logs
    ADD CONSTRAINT sandbox_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sandbox_samples
    ADD CONSTRAINT sandbox_samples_pkey PRIMARY KEY (sandbox_id, at);

ALTER TABLE ONLY public.sandboxes
    ADD CONSTRAINT sandboxes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_team_id_name_key UNIQUE (team_id, name);

ALTER TABLE ONLY public.stray_builds
    ADD CONSTRAINT stray_builds_pkey PRIMARY KEY (host_id, build_id);

ALTER TABLE ONLY public.team_invitations
    ADD CONSTRAINT team_invitations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.team_invitations
    ADD CONSTRAINT team_invitations_team_id_email_key UNIQUE (team_id, email);

ALTER TABLE ONLY public.team_invitations
    ADD CONSTRAINT team_invitations_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.team_limits
    ADD CONSTRAINT team_limits_pkey PRIMARY KEY (team_id);

ALTER TABLE ONLY public.team_members
    ADD CONSTRAINT team_members_pkey PRIMARY KEY (team_id, user_id);

ALTER TABLE ONLY public.team_use
    ADD CONSTRAINT team_use_pkey PRIMARY KEY (team_id);

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_slug_key UNIQUE (slug);

ALTER TABLE ONLY public.template_aliases
    ADD CONSTRAINT template_aliases_alias_team_id_key UNIQUE NULLS NOT DISTINCT (alias, team_id);

ALTER TABLE ONLY public.template_builds
    ADD CONSTRAINT template_builds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.template_tag_assignments
    ADD CONSTRAINT template_tag_assignments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.template_tags
    ADD CONSTRAINT template_tags_pkey PRIMARY KEY (template_id, tag);

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.usage_intervals
    ADD CONSTRAINT usage_intervals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.user_identities
    ADD CONSTRAINT user_identities_pkey PRIMARY KEY (provider, subject);

ALTER TABLE ONLY public.user_sessions
    ADD CONSTRAINT user_sessions_id_key UNIQUE (id);

ALTER TABLE ONLY public.user_sessions
    ADD CONSTRAINT user_sessions_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.volumes
    ADD CONSTRAINT volumes_pkey PRIMARY KEY (id);

CREATE INDEX access_tokens_by_user ON public.access_tokens USING btree (user_id, created_at DESC, id DESC);

CREATE INDEX api_keys_by_creator ON public.api_keys USING btree (created_by);

CREATE INDEX api_keys_by_team ON public.api_keys USING btree (team_id, created_at DESC, id DESC);

CREATE INDEX audit_entries_by_actor ON public.audit_entries USING btree (team_id, actor_id, id DESC);

CREATE INDEX audit_entries_by_age ON public.audit_entries USING brin (at);

CREATE INDEX audit_entries_by_resource ON public.audit_entries USING btree (team_id, resource_id, id DESC);

CREATE INDEX audit_entries_by_team ON public.audit_entries USING btree (team_id, id DESC);

CREATE INDEX build_logs_by_time ON public.build_logs USING btree (at);

CREATE INDEX build_requests_by_files_host ON public.build_requests USING btree (files_host_id);

CREATE INDEX build_requests_by_host ON public.build_requests USING btree (host_id);

CREATE INDEX build_requests_by_team ON public.build_requests USING btree (team_id);

CREATE INDEX build_requests_by_template ON public.build_requests USING btree (template_id);

CREATE INDEX build_usage_by_team ON public.build_usage USING btree (team_id, COALESCE(ended_at, 'infinity'::timestamp with time zone));

CREATE UNIQUE INDEX build_usage_open ON public.build_usage USING btree (build_id) WHERE (ended_at IS NULL);

CREATE INDEX channel_deliveries_by_age ON public.channel_deliveries USING brin (created_at);

CREATE INDEX channel_deliveries_by_channel ON public.channel_deliveries USING btree (channel_id, created_at DESC, id DESC);

CREATE UNIQUE INDEX channel_deliveries_once ON public.channel_deliveries USING btree (channel_id, event_id) WHERE (event_id <> 0);

CREATE INDEX channels_by_team ON public.channels USING btree (team_id, created_at, id);

CREATE INDEX events_by_age ON public.events USING brin (at);

CREATE INDEX events_by_resource ON public.events USING btree (team_id, resource_id, id);

CREATE INDEX events_by_team ON public.events USING btree (team_id, id);

CREATE INDEX events_by_transaction ON public.events USING btree (transaction_id);

CREATE INDEX events_to_dispatch ON public.events USING btree (id) WHERE (NOT dispatched);

CREATE INDEX host_certificates_by_host ON public.host_certificates USING btree (host_id);

CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX identity_keys_by_expiry ON public.identity_keys USING btree (expires_at);

CREATE INDEX identity_keys_by_host ON public.identity_keys USING btree (host_id);

CREATE INDEX one_time_tokens_by_expiry ON public.one_time_tokens USING btree (expires_at);

CREATE INDEX one_time_tokens_by_user ON public.one_time_tokens USING btree (user_id, purpose);

CREATE INDEX river_job_args_index ON public.river_job USING gin (args);

CREATE INDEX river_job_kind ON public.river_job USING btree (kind);

CREATE INDEX river_job_metadata_index ON public.river_job USING gin (metadata);

CREATE INDEX river_job_prioritized_fetching_index ON public.river_job USING btree (state, queue, priority, scheduled_at, id);

CREATE INDEX river_job_state_and_finalized_at_index ON public.river_job USING btree (state, finalized_at) WHERE (finalized_at IS NOT NULL);

CREATE UNIQUE INDEX river_job_unique_idx ON public.river_job USING btree (unique_key) WHERE ((unique_key IS NOT NULL) AND (unique_states IS NOT NULL) AND public.river_job_state_in_bitmask(unique_states, state));

CREATE INDEX river_notification_created_at_idx ON public.river_notification USING btree (created_at);

CREATE INDEX river_notification_topic_id_idx ON public.river_notification USING btree (topic, id);

CREATE INDEX sandbox_logs_by_age ON public.sandbox_logs USING brin (at);

CREATE INDEX sandbox_logs_by_sandbox ON public.sandbox_logs USING btree (sandbox_id, at, id);

CREATE INDEX sandbox_samples_by_age ON public.sandbox_samples USING brin (at);

CREATE INDEX sandboxes_by_end ON public.sandboxes USING btree (end_at) WHERE (state = 'running'::text);

CREATE INDEX sandboxes_by_group ON public.sandboxes USING btree (placement_group, host_id) WHERE (occupies AND (placement_group <> ''::text));

CREATE INDEX sandboxes_by_host ON public.sandboxes USING btree (host_id, id) WHERE (state <> ALL (ARRAY['killed'::text, 'failed'::text]));

CREATE INDEX sandboxes_by_metadata ON public.sandboxes USING gin (metadata jsonb_path_ops) WHERE (state <> ALL (ARRAY['killed'::text, 'failed'::text]));

CREATE INDEX sandboxes_by_secret ON public.sandboxes USING gin (secret_names) WHERE ((secret_names <> '{}'::text[]) AND (state <> ALL (ARRAY['killed'::text, 'failed'::text])));

CREATE INDEX sandboxes_by_team ON public.sandboxes USING btree (team_id, started_at DESC, id DESC) WHERE (state <> ALL (ARRAY['killed'::text, 'failed'::text]));

CREATE INDEX sandboxes_by_volume ON public.sandboxes USING gin (volume_mounts jsonb_path_ops) WHERE ((volume_mounts <> '[]'::jsonb) AND (state <> ALL (ARRAY['killed'::text, 'failed'::text])));

CREATE INDEX secrets_by_team ON public.secrets USING btree (team_id, created_at, id);

CREATE INDEX team_invitations_by_email ON public.team_invitations USING btree (email);

CREATE INDEX team_members_by_user ON public.team_members USING btree (user_id, created_at);

CREATE INDEX template_aliases_by_template ON public.template_aliases USING btree (template_id);

CREATE INDEX template_builds_by_template ON public.template_builds USING btree (template_id, created_at DESC);

CREATE INDEX template_builds_unfinished ON public.template_builds USING btree (status) WHERE (status = ANY (ARRAY['waiting'::text, 'building'::text]));

CREATE INDEX template_tag_assignments_by_build ON public.template_tag_assignments USING btree (build_id);

CREATE INDEX template_tag_assignments_by_tag ON public.template_tag_assignments USING btree (template_id, tag, assigned_at DESC);

CREATE INDEX template_tags_by_build ON public.template_tags USING btree (build_id);

CREATE INDEX templates_by_team ON public.templates USING btree (team_id, created_at DESC, id DESC);

CREATE INDEX templates_snapshots ON public.templates USING btree (team_id, created_at DESC, id DESC) WHERE (snapshot_of IS NOT NULL);

CREATE INDEX usage_intervals_by_team ON public.usage_intervals USING btree (team_id, COALESCE(ended_at, 'infinity'::timestamp with time zone));

CREATE UNIQUE INDEX usage_intervals_open ON public.usage_intervals USING btree (sandbox_id) WHERE (ended_at IS NULL);

CREATE INDEX user_identities_by_user ON public.user_identities USING btree (user_id);

CREATE INDEX user_sessions_by_expiry ON public.user_sessions USING btree (expires_at);

CREATE INDEX user_sessions_by_user ON public.user_sessions USING btree (user_id, expires_at);

CREATE UNIQUE INDEX users_local ON public.users USING btree (local) WHERE local;

CREATE UNIQUE INDEX volumes_by_name ON public.volumes USING btree (team_id, name) WHERE (NOT deleting);

CREATE INDEX volumes_unfinished ON public.volumes USING btree (host_id) WHERE deleting;

CREATE TRIGGER audit_entries_keep BEFORE DELETE OR UPDATE ON public.audit_entries FOR EACH ROW EXECUTE FUNCTION public.audit_keep();

CREATE TRIGGER audit_entries_keep_all BEFORE TRUNCATE ON public.audit_entries FOR EACH STATEMENT EXECUTE FUNCTION public.audit_keep();

CREATE TRIGGER audit_entries_stamp BEFORE INSERT ON public.audit_entries FOR EACH ROW EXECUTE FUNCTION public.audit_stamp();

CREATE TRIGGER build_account AFTER DELETE OR UPDATE OF host_id, held_vcpus, held_memory_mib, held_disk_mib ON public.build_requests FOR EACH ROW EXECUTE FUNCTION public.build_account();

CREATE TRIGGER events_announce AFTER INSERT ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.event_announce();

CREATE TRIGGER events_order BEFORE INSERT ON public.events FOR EACH ROW EXECUTE FUNCTION public.event_order();

CREATE TRIGGER host_certificates_announce AFTER UPDATE OF revoked_at ON public.host_certificates FOR EACH ROW EXECUTE FUNCTION public.host_announce();

CREATE TRIGGER hosts_announce AFTER INSERT OR DELETE OR UPDATE OF state, address, tags, drain_wanted ON public.hosts FOR EACH ROW EXECUTE FUNCTION public.host_announce();

CREATE TRIGGER sandboxes_account AFTER INSERT OR DELETE OR UPDATE OF state, host_id, vcpu_count, memory_mib, disk_mib ON public.sandboxes FOR EACH ROW EXECUTE FUNCTION public.sandbox_account();

CREATE TRIGGER sandboxes_set_occupies BEFORE INSERT OR UPDATE OF state ON public.sandboxes FOR EACH ROW EXECUTE FUNCTION public.sandbox_set_occupies();

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT access_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.build_logs
    ADD CONSTRAINT build_logs_build_id_fkey FOREIGN KEY (build_id) REFERENCES public.template_builds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.build_requests
    ADD CONSTRAINT build_requests_build_id_fkey FOREIGN KEY (build_id) REFERENCES public.template_builds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.build_requests
    ADD CONSTRAINT build_requests_files_host_id_fkey FOREIGN KEY (files_host_id) REFERENCES public.hosts(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.build_requests
    ADD CONSTRAINT build_requests_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.build_requests
    ADD CONSTRAINT build_requests_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.build_requests
    ADD CONSTRAINT build_requests_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.build_usage
    ADD CONSTRAINT build_usage_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.channel_attempts
    ADD CONSTRAINT channel_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES public.channel_deliveries(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.channel_deliveries
    ADD CONSTRAINT channel_deliveries_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES public.channels(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.channels
    ADD CONSTRAINT channels_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.host_builds
    ADD CONSTRAINT host_builds_build_id_fkey FOREIGN KEY (build_id) REFERENCES public.template_builds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.host_builds
    ADD CONSTRAINT host_builds_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.host_certificates
    ADD CONSTRAINT host_certificates_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.host_loads
    ADD CONSTRAINT host_loads_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.host_tokens
    ADD CONSTRAINT host_tokens_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.identity_keys
    ADD CONSTRAINT identity_keys_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sandbox_logs
    ADD CONSTRAINT sandbox_logs_sandbox_id_fkey FOREIGN KEY (sandbox_id) REFERENCES public.sandboxes(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sandbox_samples
    ADD CONSTRAINT sandbox_samples_sandbox_id_fkey FOREIGN KEY (sandbox_id) REFERENCES public.sandboxes(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sandboxes
    ADD CONSTRAINT sandboxes_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id);

ALTER TABLE ONLY public.sandboxes
    ADD CONSTRAINT sandboxes_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id);

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.stray_builds
    ADD CONSTRAINT stray_builds_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_invitations
    ADD CONSTRAINT team_invitations_invited_by_fkey FOREIGN KEY (invited_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.team_invitations
    ADD CONSTRAINT team_invitations_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_limits
    ADD CONSTRAINT team_limits_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_members
    ADD CONSTRAINT team_members_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_members
    ADD CONSTRAINT team_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.team_use
    ADD CONSTRAINT team_use_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_aliases
    ADD CONSTRAINT template_aliases_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_aliases
    ADD CONSTRAINT template_aliases_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_builds
    ADD CONSTRAINT template_builds_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_tag_assignments
    ADD CONSTRAINT template_tag_assignments_build_id_fkey FOREIGN KEY (build_id) REFERENCES public.template_builds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_tag_assignments
    ADD CONSTRAINT template_tag_assignments_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_tags
    ADD CONSTRAINT template_tags_build_id_fkey FOREIGN KEY (build_id) REFERENCES public.template_builds(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template_tags
    ADD CONSTRAINT template_tags_template_id_fkey FOREIGN KEY (template_id) REFERENCES public.templates(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_intervals
    ADD CONSTRAINT usage_intervals_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_identities
    ADD CONSTRAINT user_identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.user_sessions
    ADD CONSTRAINT user_sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.volumes
    ADD CONSTRAINT volumes_host_id_fkey FOREIGN KEY (host_id) REFERENCES public.hosts(id);

ALTER TABLE ONLY public.volumes
    ADD CONSTRAINT volumes_team_id_fkey FOREIGN KEY (team_id) REFERENCES public.teams(id);
