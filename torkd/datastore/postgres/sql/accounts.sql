-- Users, roles, named keys, and the log of who did what. Accounts are few: what is not about sign-in or jobs need not be fast.

-- name: credentials
-- An account with its roles, by name or by id, and what proves who somebody is.
SELECT u.id, u.name, u.username, u.disabled, u.created_at, u.password_hash, k.digest,
       coalesce((SELECT json_agg(json_build_object('id', r.id, 'slug', r.slug, 'name', r.name) ORDER BY r.slug)
                   FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id), '[]'::json) AS roles
  FROM users u
  LEFT JOIN api_keys k ON k.id = u.id
 WHERE u.deleted_at IS NULL AND (u.username = %(username)s OR u.id = %(user_id)s)
 LIMIT 1;

-- name: note_key_use
UPDATE api_keys SET last_used_at = now() WHERE id = %(id)s;

-- name: resolve_permissions
-- The id of each named user or role, in their order; null where there is none. Deleted accounts and keys that are gone are none.
SELECT CASE WHEN p.username <> '' THEN (SELECT u.id FROM users u WHERE u.username = p.username AND u.deleted_at IS NULL)
            ELSE (SELECT r.id FROM roles r WHERE r.slug = p.slug) END AS id
  FROM unnest(%(usernames)s::text[], %(slugs)s::text[]) WITH ORDINALITY AS p (username, slug, place)
 ORDER BY p.place;

-- name: visible_jobs
-- Those of some jobs that may be seen.
SELECT j.id FROM jobs j
 WHERE j.id = ANY(%(job_ids)s)
   AND (j.viewers IS NULL OR (j.viewers IS NOT NULL AND j.created_by = %(viewer)s) OR j.viewers && %(viewer_ids)s::text[]);

-- name: visible_schedule
-- Whether a schedule is there and may be seen.
SELECT id FROM schedules
 WHERE id = %(schedule_id)s AND state <> 'DELETED'
   AND (viewers IS NULL OR created_by = %(viewer)s OR viewers && %(viewer_ids)s::text[]);

-- name: job_of_task
SELECT job_id FROM tasks WHERE id = %(task_id)s;

-- name: list_users
-- A page of users, keys left out.
SELECT u.id, u.name, u.username, u.disabled, u.created_at,
       ARRAY(SELECT r.slug FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id ORDER BY r.slug) AS roles
  FROM users u
 WHERE u.deleted_at IS NULL AND NOT EXISTS (SELECT FROM api_keys k WHERE k.id = u.id)
 ORDER BY u.username
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_users
SELECT count(*) AS total
  FROM (SELECT FROM users u
         WHERE u.deleted_at IS NULL AND NOT EXISTS (SELECT FROM api_keys k WHERE k.id = u.id) LIMIT %(limit)s) AS found;

-- name: get_account
-- An account by id or name, a user or a key.
SELECT u.id, u.name, u.username, u.disabled, u.created_at, k.last_used_at,
       ARRAY(SELECT r.slug FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id ORDER BY r.slug) AS roles
  FROM users u
  LEFT JOIN api_keys k ON k.id = u.id
 WHERE u.deleted_at IS NULL AND (u.id = %(reference)s OR u.username = %(reference)s) AND (k.id IS NOT NULL) = %(is_key)s
 ORDER BY u.id = %(reference)s DESC
 LIMIT 1;

-- name: lock_accounts
-- Changes take turns, so that two admins can't take each other's role at the same time.
SELECT pg_advisory_xact_lock(7464253);

-- name: insert_user
INSERT INTO users (id, name, username, password_hash, disabled)
VALUES (%(id)s, %(name)s, %(username)s, %(password_hash)s, %(disabled)s)
ON CONFLICT (username) WHERE deleted_at IS NULL DO NOTHING
RETURNING id;

-- name: insert_key
INSERT INTO api_keys (id, digest) VALUES (%(id)s, %(digest)s);

-- name: change_user
-- A null leaves what is there.
UPDATE users
   SET name = coalesce(%(name)s, name), username = coalesce(%(username)s, username),
       password_hash = coalesce(%(password_hash)s, password_hash), disabled = coalesce(%(disabled)s, disabled)
 WHERE id = %(id)s;

-- name: name_is_taken
SELECT 1 FROM users WHERE username = %(username)s AND id <> %(id)s AND deleted_at IS NULL;

-- name: delete_user
UPDATE users SET deleted_at = now(), disabled = true, password_hash = '' WHERE id = %(id)s;

-- name: delete_key
DELETE FROM api_keys WHERE id = %(id)s;

-- name: unknown_roles
SELECT s.slug FROM unnest(%(slugs)s::text[]) AS s (slug) WHERE NOT EXISTS (SELECT FROM roles r WHERE r.slug = s.slug);

-- name: set_roles
-- The account has these roles and no others.
WITH gone AS (
    DELETE FROM user_roles ur USING roles r
     WHERE ur.user_id = %(id)s AND r.id = ur.role_id AND NOT r.slug = ANY(%(slugs)s::text[])
)
INSERT INTO user_roles (user_id, role_id)
SELECT %(id)s, r.id FROM roles r WHERE r.slug = ANY(%(slugs)s::text[])
ON CONFLICT DO NOTHING;

-- name: count_admins
-- Users who can sign in with a password and have the role.
SELECT count(*) AS total
  FROM users u
 WHERE u.deleted_at IS NULL AND NOT u.disabled AND u.password_hash <> ''
   AND EXISTS (SELECT FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id AND r.slug = 'admin');

-- name: list_roles
SELECT id, slug, name, created_at FROM roles ORDER BY slug LIMIT %(size)s OFFSET %(offset)s;

-- name: count_roles
SELECT count(*) AS total FROM (SELECT FROM roles LIMIT %(limit)s) AS found;

-- name: get_role
SELECT id, slug, name, created_at FROM roles
 WHERE id = %(reference)s OR slug = %(reference)s
 ORDER BY id = %(reference)s DESC LIMIT 1;

-- name: insert_role
INSERT INTO roles (id, slug, name) VALUES (%(id)s, %(slug)s, %(name)s) ON CONFLICT (slug) DO NOTHING
RETURNING id, slug, name, created_at;

-- name: rename_role
UPDATE roles SET name = %(name)s WHERE id = %(id)s RETURNING id, slug, name, created_at;

-- name: delete_role
-- With it goes that people have it. Jobs that name it keep its id, so they do not become everybody's.
WITH gone AS (DELETE FROM user_roles WHERE role_id = %(id)s)
DELETE FROM roles WHERE id = %(id)s;

-- name: list_keys
SELECT u.id, u.name, u.username, u.disabled, u.created_at, k.last_used_at,
       ARRAY(SELECT r.slug FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id ORDER BY r.slug) AS roles
  FROM api_keys k
  JOIN users u ON u.id = k.id
 WHERE u.deleted_at IS NULL
 ORDER BY u.username
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_keys
SELECT count(*) AS total FROM (SELECT FROM api_keys LIMIT %(limit)s) AS found;

-- name: list_audit
SELECT seq, at, user_id, username, action, target, detail, address
  FROM audit_log
 WHERE (%(username)s = '' OR username = %(username)s)
   AND (%(action)s = '' OR action = %(action)s)
   AND (%(target)s = '' OR target = %(target)s)
 ORDER BY seq DESC
 LIMIT %(size)s OFFSET %(offset)s;

-- name: count_audit
SELECT count(*) AS total
  FROM (SELECT FROM audit_log
         WHERE (%(username)s = '' OR username = %(username)s)
           AND (%(action)s = '' OR action = %(action)s)
           AND (%(target)s = '' OR target = %(target)s)
         LIMIT %(limit)s) AS found;
