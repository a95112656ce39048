-- oldest: 1
-- Webhooks. A torkd that does not know them announces nothing of the jobs it carries on, so the upgrade should not take long.
ALTER TABLE jobs ADD COLUMN announces text NOT NULL DEFAULT '';

-- Where a job's webhooks deliver to, one row an address: its requests go out one after the other.
CREATE TABLE webhook_lanes (
    job_id     text NOT NULL,
    lane       integer NOT NULL,
    target     text NOT NULL,
    waiting    integer NOT NULL,
    due_at     timestamptz,
    claimed_by text,
    claims     bigint NOT NULL DEFAULT 0,
    delivered  bigint NOT NULL DEFAULT 0,
    given_up   bigint NOT NULL DEFAULT 0,
    tries      integer NOT NULL DEFAULT 0,
    tried_at   timestamptz,
    status     integer,
    error      text,
    job_is_gone boolean NOT NULL DEFAULT false,
    PRIMARY KEY (job_id, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX webhook_lanes_due ON webhook_lanes (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_lanes_claimed ON webhook_lanes (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE TABLE webhook_deliveries (
    job_id     text NOT NULL,
    lane       integer NOT NULL,
    version    bigint NOT NULL,
    number     integer NOT NULL,
    event      text NOT NULL,
    request    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, lane, version, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE webhook_totals (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    delivered bigint NOT NULL DEFAULT 0,
    given_up  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
INSERT INTO webhook_totals DEFAULT VALUES;
