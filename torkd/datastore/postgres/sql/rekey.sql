-- Sealing anew what is stored. The first statements are forms: in braces stands what differs from table to table, as identifiers.

-- name: ahead
-- The next rows in the order of their key, and how much of each is to be sealed anew.
SELECT {key}, {owner}, {size} AS size FROM {table} WHERE ({key}) > ({after}) ORDER BY {key} LIMIT %(window)s

-- name: rows
-- Some of them as they are now, held until the end of the transaction.
SELECT {key}, {owner}, {columns} FROM {table} WHERE ({key}) IN (SELECT * FROM unnest({keys})) ORDER BY {key} FOR NO KEY UPDATE

-- name: write
-- A value that is null stays as it is.
UPDATE {table} t SET {changes} FROM json_to_recordset(%(rows)s::json) AS r ({record}) WHERE {match}

-- name: roots
-- The jobs whose rows are locked for changes of these. What belongs to no job any more has none.
SELECT id, root_id FROM jobs WHERE id = ANY(%(jobs)s);

-- name: estimate
-- About how many rows a table has.
SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %(table)s::regclass;

-- name: state
-- The key that is in use, and whether a process is alive that may be sealing.
SELECT sealed_with,
       EXISTS (SELECT FROM nodes WHERE last_heartbeat_at > now() - interval '60 seconds') AS is_alive
FROM engine;

-- name: note_done
-- Nothing is left under another key, as far as one that seals meanwhile is not meant.
UPDATE engine SET rekeyed_with = %(key_id)s WHERE sealed_with = %(key_id)s;
