-- oldest: 1
-- Finding the few jobs that somebody may see among many that they may not.
CREATE INDEX jobs_open ON jobs (created_at DESC, id DESC) WHERE viewers IS NULL;
CREATE INDEX jobs_restricted ON jobs (created_by) WHERE viewers IS NOT NULL;
CREATE INDEX jobs_viewers ON jobs USING gin (viewers) WHERE viewers IS NOT NULL;
