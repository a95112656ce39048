-- oldest: 1
-- Schedules. Older daemons go on beside them: they make no ticks, and their jobs have no schedule.
ALTER TABLE jobs ADD COLUMN schedule_id text;
CREATE INDEX jobs_of_schedule ON jobs (schedule_id, created_at DESC, id DESC) WHERE schedule_id IS NOT NULL;
CREATE INDEX jobs_of_schedule_active ON jobs (schedule_id)
    WHERE schedule_id IS NOT NULL AND state IN ('PENDING', 'SCHEDULED', 'RUNNING');

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
