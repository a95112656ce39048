-- oldest: 1
-- Who may see a job, by ids; null: everybody. Never changes after the submission, and sub-jobs have what their root has.
ALTER TABLE jobs ADD COLUMN viewers text[];

-- A name is free again once its account was deleted.
ALTER TABLE users ADD COLUMN deleted_at timestamptz;
ALTER TABLE users DROP CONSTRAINT users_username_key;
CREATE UNIQUE INDEX users_by_name ON users (username) WHERE deleted_at IS NULL;

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

CREATE TABLE api_keys (
    id           text PRIMARY KEY,
    digest       bytea NOT NULL,
    last_used_at timestamptz
);

CREATE TABLE audit_log (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    user_id  text NOT NULL DEFAULT '',
    username text NOT NULL,
    action   text NOT NULL,
    target   text NOT NULL DEFAULT '',
    detail   text NOT NULL DEFAULT '',
    address  text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_oldest ON audit_log (at);
CREATE INDEX audit_log_of_user ON audit_log (username, seq);
CREATE INDEX audit_log_of_target ON audit_log (target, seq);
