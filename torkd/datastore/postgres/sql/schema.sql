-- The schema as it is. Migrations lead here; a test compares both.
-- Texts have no length limits: what a job file may say must never fail to be stored. Times are timestamptz.
-- No foreign keys into hot tables: a row lock of the root job already keeps a job's rows in step.

-- A job, one row that stays small: what every event of it reads and writes. Static parts are in job_details.
CREATE TABLE jobs (
    id              text PRIMARY KEY,
    root_id         text NOT NULL,             -- the job whose row is locked for changes: itself, or the topmost parent
    parent_job_id   text,                      -- of an attached sub-job
    parent_task_id  text,                      -- the task that waits for it
    name            text NOT NULL,
    state           text NOT NULL,
    position        integer NOT NULL DEFAULT 0,
    task_count      integer NOT NULL,
    progress        double precision NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1, -- grows with every change of the job or one of its tasks
    created_by      text NOT NULL,             -- users.id
    created_at      timestamptz NOT NULL,
    started_at      timestamptz,
    completed_at    timestamptz,
    failed_at       timestamptz,               -- also the end of a cancelled job
    delete_at       timestamptz,
    error           text,
    result          text,
    defaults        text,                      -- JSON
    auto_delete     text,
    has_secrets     boolean NOT NULL DEFAULT false,
    viewers         text[],                    -- ids of the users and roles that may see it; null: everybody. Never changes
    schedule_id     text,                      -- the schedule that made it; to find it by, also in job_details
    announces       text NOT NULL DEFAULT ''   -- the events that its webhooks ask for
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_newest ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_by_state ON jobs (state, created_at DESC, id DESC);
CREATE INDEX jobs_children ON jobs (parent_job_id) WHERE parent_job_id IS NOT NULL;
CREATE INDEX jobs_to_delete ON jobs (delete_at) WHERE delete_at IS NOT NULL;
CREATE INDEX jobs_id_prefix ON jobs (id text_pattern_ops);
CREATE INDEX jobs_open ON jobs (created_at DESC, id DESC) WHERE viewers IS NULL;
CREATE INDEX jobs_restricted ON jobs (created_by) WHERE viewers IS NOT NULL;
CREATE INDEX jobs_viewers ON jobs USING gin (viewers) WHERE viewers IS NOT NULL;
CREATE INDEX jobs_of_schedule ON jobs (schedule_id, created_at DESC, id DESC) WHERE schedule_id IS NOT NULL;
CREATE INDEX jobs_of_schedule_active ON jobs (schedule_id)
    WHERE schedule_id IS NOT NULL AND state IN ('PENDING', 'SCHEDULED', 'RUNNING');

-- How many jobs there are: the sum of all rows. Each statement that adds or removes jobs appends one, so nobody waits for
-- anybody; they are put together once in a while.
CREATE TABLE job_counts (
    jobs bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM job_counts;
    ELSE
        INSERT INTO job_counts (jobs) SELECT TG_ARGV[0]::bigint * count(*) FROM changed HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_jobs('1');
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_jobs('-1');
CREATE TRIGGER jobs_emptied AFTER TRUNCATE ON jobs FOR EACH STATEMENT EXECUTE FUNCTION count_jobs();

INSERT INTO job_counts (jobs) VALUES (0);

-- What a job was submitted with and never changes. Lists are searched here, so what never changes of its row is here too.
CREATE TABLE job_details (
    job_id       text PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    viewers      text[],
    description  text NOT NULL DEFAULT '',
    tags         text[] NOT NULL DEFAULT '{}',
    output       text NOT NULL DEFAULT '',
    webhooks     text,                         -- JSON
    schedule_id  text,
    schedule_cron text,
    search       tsvector NOT NULL             -- name and description
);
CREATE INDEX job_details_tags ON job_details USING gin (tags);
CREATE INDEX job_details_search ON job_details USING gin (search);

-- Daemons of before the columns that are also in jobs leave them out.
CREATE FUNCTION complete_job_details() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT created_at, created_by, viewers INTO NEW.created_at, NEW.created_by, NEW.viewers FROM jobs WHERE id = NEW.job_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER job_details_of_before BEFORE INSERT ON job_details
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION complete_job_details();

-- The top-level tasks as they were submitted, one row each, so that a step costs the same in a job of any length.
-- The row after the last holds the job's output template.
CREATE TABLE job_steps (
    job_id    text NOT NULL,
    position  integer NOT NULL,
    spec      text NOT NULL,                   -- JSON of the definition, or the output template
    reads     text[] NOT NULL,                 -- context keys it refers to, such as inputs.size
    reads_all text[] NOT NULL,                 -- namespaces it may read any key of
    PRIMARY KEY (job_id, position)
);

-- The context: one row a value, so that a task loads what it refers to.
CREATE TABLE job_context (
    job_id    text NOT NULL,
    key       text NOT NULL,                   -- namespace.name
    namespace text NOT NULL,                   -- inputs, secrets or tasks; hidden: secrets of jobs that it made or was made by
    value     text NOT NULL,
    PRIMARY KEY (job_id, key)
);

-- A task instance.
CREATE TABLE tasks (
    id           text PRIMARY KEY,
    job_id       text NOT NULL,
    root_id      text NOT NULL,
    parent_id    text,
    position     integer NOT NULL,
    item_index   integer,                      -- place among the children of its parent
    kind         text NOT NULL,                -- regular, parallel, each, subjob
    state        text NOT NULL,
    name         text NOT NULL DEFAULT '',
    queue        text NOT NULL DEFAULT '',
    priority     integer NOT NULL DEFAULT 0,
    var          text NOT NULL DEFAULT '',
    retry        text,                         -- JSON of the policy
    attempts     integer NOT NULL DEFAULT 0,
    dispatch     integer NOT NULL DEFAULT 0,   -- hand-outs so far
    redelivered  integer NOT NULL DEFAULT 0,
    run_id       text,                         -- the run that owns the task, or ended it
    node_id      text,
    lease_id     text,
    created_at   timestamptz NOT NULL,
    scheduled_at timestamptz,
    started_at   timestamptz,
    completed_at timestamptz,
    failed_at    timestamptz,                  -- also the end of a cancelled task
    due_at       timestamptz,                  -- when a waiting retry is to be scheduled
    progress     double precision NOT NULL DEFAULT 0,
    error        text,
    result       text,
    log_parts    integer NOT NULL DEFAULT 0,   -- how many log parts its last run has sent
    size         integer NOT NULL DEFAULT 0,   -- children it will have
    created      integer NOT NULL DEFAULT 0,   -- children that have a row
    released     integer NOT NULL DEFAULT 0,   -- children handed out, or further
    completions  integer NOT NULL DEFAULT 0,   -- children that are done
    concurrency  integer NOT NULL DEFAULT 0,
    subjob_id    text,
    scope        text,                         -- JSON: each variables seen by the children of a composite
    spec         text NOT NULL,                -- JSON of the evaluated definition
    version      bigint NOT NULL DEFAULT 1,    -- the job's version at the last change
    goes_on      boolean NOT NULL DEFAULT false, -- whether its other children go on when one has failed
    failures     integer NOT NULL DEFAULT 0,   -- of one that goes on: children that have failed for good
    redo_left    integer NOT NULL DEFAULT 0,   -- children that are to be run again when there is room; they count as released
    redo         text,                         -- JSON: which ones
    reason       text,                         -- why a person skipped it, or why it will be skipped when its turn comes
    is_raw       boolean NOT NULL DEFAULT false -- whether spec is the definition, because that could not be evaluated
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX tasks_of_job ON tasks (job_id, position, created_at);
CREATE INDEX tasks_of_parent ON tasks (parent_id, item_index) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_running ON tasks (lease_id) WHERE state = 'RUNNING'; -- those that others carry out have no lease
CREATE INDEX tasks_handed_out ON tasks (scheduled_at) WHERE state = 'SCHEDULED';
CREATE INDEX tasks_due ON tasks (due_at) WHERE state = 'PENDING' AND due_at IS NOT NULL;
CREATE INDEX tasks_unfolding ON tasks (id) WHERE state = 'RUNNING' AND (released < size OR redo_left > 0);
CREATE INDEX tasks_unsuccessful ON tasks (parent_id, item_index)
    WHERE parent_id IS NOT NULL AND state IN ('FAILED', 'CANCELLED');
CREATE INDEX tasks_failing ON tasks (job_id) WHERE failures > 0 AND state = 'RUNNING';

-- The elements of a large each or parallel, in blocks.
CREATE TABLE task_items (
    task_id  text NOT NULL,
    job_id   text NOT NULL,
    block    integer NOT NULL,
    items    text NOT NULL,                    -- JSON list
    PRIMARY KEY (task_id, block)
);
CREATE INDEX task_items_of_job ON task_items (job_id);

-- Hand-outs to be published, written with the change that caused them and removed after the broker has confirmed.
CREATE TABLE outbox (
    task_id    text NOT NULL,
    dispatch   integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, dispatch)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX outbox_oldest ON outbox (created_at);

-- Where a job's webhooks deliver to, one row an address: its requests go out one after the other.
CREATE TABLE webhook_lanes (
    job_id     text NOT NULL,
    lane       integer NOT NULL,               -- place in the job's list of the first webhook with this address
    target     text NOT NULL,                  -- digest of the server behind it
    waiting    integer NOT NULL,               -- deliveries that are to be made
    due_at     timestamptz,                    -- when the first may be tried, or the claim ends; null when none waits
    claimed_by text,                           -- the node that delivers now
    claims     bigint NOT NULL DEFAULT 0,      -- grows with every claim: only the latest counts
    delivered  bigint NOT NULL DEFAULT 0,
    given_up   bigint NOT NULL DEFAULT 0,
    tries      integer NOT NULL DEFAULT 0,     -- of the first delivery that waits
    tried_at   timestamptz,                    -- the last try of any
    status     integer,                        -- and what it was answered with
    error      text,                           -- or why it failed
    job_is_gone boolean NOT NULL DEFAULT false, -- the row goes with its last delivery
    PRIMARY KEY (job_id, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX webhook_lanes_due ON webhook_lanes (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_lanes_claimed ON webhook_lanes (claimed_by) WHERE claimed_by IS NOT NULL;

-- Requests to be made, written with the change that they tell of. A row goes when it is done or given up.
CREATE TABLE webhook_deliveries (
    job_id     text NOT NULL,
    lane       integer NOT NULL,
    version    bigint NOT NULL,                -- the job's, with the change
    number     integer NOT NULL,               -- place among what the same batch tells of the job
    event      text NOT NULL,
    request    text NOT NULL,                  -- JSON
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, lane, version, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- One row: what became of all deliveries so far.
CREATE TABLE webhook_totals (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    delivered bigint NOT NULL DEFAULT 0,
    given_up  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
INSERT INTO webhook_totals DEFAULT VALUES;

-- Log parts. seq grows in the order of commits, because writers take turns. Each day (UTC) has a partition, task_log_parts_YYYYMMDD,
-- which upkeep makes ahead and drops when it is old. What no day is there for (the first moments of a new database, a worker
-- whose clock is far off) is in the default one.
CREATE SEQUENCE task_log_parts_seq;
CREATE TABLE task_log_parts (
    task_id    text NOT NULL,
    dispatch   integer NOT NULL,
    run_id     text NOT NULL,
    number     integer NOT NULL,
    job_id     text NOT NULL,
    seq        bigint NOT NULL DEFAULT nextval('task_log_parts_seq'),
    contents   text NOT NULL,
    created_at timestamptz NOT NULL,           -- when it was printed, by the worker: the same in every copy of the part
    PRIMARY KEY (task_id, dispatch, run_id, number, created_at)
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE task_log_parts_seq OWNED BY task_log_parts.seq;
CREATE INDEX task_log_parts_of_job ON task_log_parts (job_id, seq);
CREATE INDEX task_log_parts_of_task ON task_log_parts (task_id, seq);
CREATE INDEX task_log_parts_oldest ON task_log_parts USING brin (created_at) WITH (pages_per_range = 32);
CREATE TABLE task_log_parts_default PARTITION OF task_log_parts DEFAULT;

-- Processes that take part, one row per node; the lease is that of its latest incarnation.
CREATE TABLE nodes (
    id                text PRIMARY KEY,
    lease_id          text NOT NULL,
    name              text NOT NULL,
    hostname          text NOT NULL,
    port              integer NOT NULL DEFAULT 0,
    queue             text NOT NULL DEFAULT '',
    status            text NOT NULL,
    cpu_percent       double precision NOT NULL DEFAULT 0,
    task_count        integer NOT NULL DEFAULT 0,
    version           text NOT NULL,
    started_at        timestamptz NOT NULL,
    last_heartbeat_at timestamptz NOT NULL     -- by the clock of the database
) WITH (fillfactor = 50);

-- The right of one worker incarnation to the tasks it runs.
CREATE TABLE leases (
    id         text PRIMARY KEY,
    node_id    text NOT NULL,
    renewed_at timestamptz NOT NULL,           -- by the clock of the database
    ended      boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- A request that was accepted, so that its repetition is not a second job. Rows outlive their job by 7 days.
CREATE TABLE idempotency (
    owner      text NOT NULL,
    key        text NOT NULL,
    digest     bytea NOT NULL,                 -- HMAC of the body
    job_id     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,                    -- seven days after its job was removed
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_of_job ON idempotency (job_id);
CREATE INDEX idempotency_expired ON idempotency (expires_at) WHERE expires_at IS NOT NULL;

-- A job that starts again and again.
CREATE TABLE schedules (
    id           text PRIMARY KEY,
    state        text NOT NULL,                -- ACTIVE, PAUSED, or DELETED: only its jobs are still to be removed
    spec         text NOT NULL,                -- JSON of the definition
    zone         text NOT NULL,                -- the time zone where the cron text names none
    created_by   text NOT NULL,                -- users.id
    viewers      text[],                       -- who may see it and its jobs, as in jobs
    created_at   timestamptz NOT NULL,         -- by the clock of the database; intervals count from here
    next_tick_at timestamptz,                  -- nominal time of the next tick
    due_at       timestamptz,                  -- when to look at it: then, or later after something went wrong
    last_at      timestamptz,                  -- when it last started a job
    error        text NOT NULL DEFAULT ''      -- why a tick could not fire
) WITH (fillfactor = 70);
CREATE INDEX schedules_newest ON schedules (created_at DESC, id DESC);
CREATE INDEX schedules_due ON schedules (due_at) WHERE state = 'ACTIVE' AND due_at IS NOT NULL;
CREATE INDEX schedules_deleted ON schedules (id) WHERE state = 'DELETED';

-- The ticks that have fired, each once: written with its job, and kept until after that is gone.
CREATE TABLE schedule_ticks (
    schedule_id text NOT NULL,
    tick        timestamptz NOT NULL,          -- its nominal time
    job_id      text NOT NULL,
    expires_at  timestamptz NOT NULL,          -- when to remove it, if its job is gone by then
    PRIMARY KEY (schedule_id, tick)
);
CREATE INDEX schedule_ticks_expired ON schedule_ticks (expires_at);

-- People, the guest, and keys (`api_keys`), which are accounts without a password. Those that are deleted stay as the creators of their jobs.
CREATE TABLE users (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    username      text NOT NULL,
    password_hash text NOT NULL DEFAULT '',
    disabled      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz
);
CREATE UNIQUE INDEX users_by_name ON users (username) WHERE deleted_at IS NULL;
INSERT INTO users (id, name, username, disabled) VALUES ('00000000000000000000000000000000', 'Guest', 'guest', true);

CREATE TABLE roles (
    id         text PRIMARY KEY,
    slug       text NOT NULL UNIQUE,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO roles (id, slug, name) VALUES
    ('00000000000000000000000000000001', 'public', 'Public'),
    ('00000000000000000000000000000002', 'admin', 'Administrators');

CREATE TABLE user_roles (
    user_id text NOT NULL,
    role_id text NOT NULL,
    PRIMARY KEY (user_id, role_id)
);
CREATE INDEX user_roles_of_role ON user_roles (role_id);

-- Named keys. The id is that of the account in `users` whose name is `key:<name>`.
CREATE TABLE api_keys (
    id           text PRIMARY KEY,
    digest       bytea NOT NULL,               -- SHA-256 of the key, which is random
    last_used_at timestamptz
);

-- Who did what.
CREATE TABLE audit_log (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    user_id  text NOT NULL DEFAULT '',         -- empty when nobody was signed in
    username text NOT NULL,                    -- as it was then
    action   text NOT NULL,                    -- such as job.cancel
    target   text NOT NULL DEFAULT '',         -- what it was done to
    detail   text NOT NULL DEFAULT '',
    address  text NOT NULL DEFAULT ''          -- of the client
);
CREATE INDEX audit_log_oldest ON audit_log (at);
CREATE INDEX audit_log_of_user ON audit_log (username, seq);
CREATE INDEX audit_log_of_target ON audit_log (target, seq);

-- One row: what all processes must agree on.
CREATE TABLE engine (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch      text NOT NULL DEFAULT '',       -- the life of the broker's contents
    heartbeats_since timestamptz,              -- heartbeats have been drained without a gap since then
    heartbeats_until timestamptz,              -- and until then
    secret     bytea NOT NULL,                 -- keys the digests of idempotent requests
    sealed_with text NOT NULL DEFAULT '',      -- id of the key that seals values now; empty: they are in clear
    rekeyed_with text NOT NULL DEFAULT ''      -- id of the key that all values were found to be sealed with
);
INSERT INTO engine (secret) VALUES (sha256((random()::text || clock_timestamp()::text || gen_random_uuid()::text)::bytea));
