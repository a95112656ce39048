"""The schema: one way to it, once, by one process at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import psycopg
import pytest

from tests.support.postgres import PostgresServer
from tork.errors import DatastoreUnavailable, StartError
from torkd.datastore.postgres.migrations import Migration, migrate, shipped

pytestmark = pytest.mark.postgres

CATALOGS = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
    """,
    "order of columns": """
        SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position)
        FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1 ORDER BY 1
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """,
    "settings of tables": """
        SELECT relname, array_to_string(reloptions, ' ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1
    """,
    "rows": "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM engine), (SELECT epoch FROM engine)",
}

ONE = Migration(1, "one", "CREATE TABLE one (id int);", 1)
TWO = Migration(2, "two", "CREATE TABLE two (id int);", 2)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer.start() as server:
        yield server


@pytest.fixture
def dsn(server: PostgresServer) -> Iterator[str]:
    dsn = server.create_database()
    yield dsn
    server.drop_database(dsn)


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def tables(dsn: str) -> set[str]:
    return {name for (name,) in rows(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


@pytest.fixture(scope="module")
def both(server: PostgresServer) -> tuple[str, str]:
    """A database that migrations made, and one that `schema.sql` made."""
    migrated, described = server.create_database(), server.create_database()
    migrate(migrated)
    with psycopg.connect(described) as connection:
        connection.execute((files("torkd.datastore.postgres") / "sql" / "schema.sql").read_text())
    with psycopg.connect(migrated) as connection:
        connection.execute("DROP TABLE schema_migrations")
    return migrated, described


@pytest.mark.parametrize("catalog", CATALOGS)
def test_migrations_lead_to_the_schema_as_it_is_described(both: tuple[str, str], catalog: str) -> None:
    migrated, described = (rows(dsn, CATALOGS[catalog]) for dsn in both)
    assert migrated == described
    assert migrated


def test_every_time_has_a_zone_and_no_text_has_a_length(both: tuple[str, str]) -> None:
    types = {kind for (kind,) in rows(both[1], "SELECT DISTINCT data_type FROM information_schema.columns "
                                               "WHERE table_schema = 'public'")}  # fmt: skip
    assert "timestamp with time zone" in types
    assert types & {"timestamp without time zone", "character varying", "character"} == set()


def test_of_four_at_once_one_applies_each_migration(dsn: str) -> None:
    barrier = threading.Barrier(4)
    answers: list[list[str]] = []

    def work() -> None:
        barrier.wait()
        answers.append(migrate(dsn))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    names = [f"{migration.version:04d}_{migration.name}" for migration in shipped()]
    assert sorted(answers) == [[], [], [], names]


def test_what_was_applied_is_not_applied_again(dsn: str) -> None:
    assert migrate(dsn, [ONE]) == ["0001_one"]
    assert migrate(dsn, [ONE]) == []
    assert migrate(dsn, [ONE, TWO]) == ["0002_two"]


def test_a_file_that_was_changed_after_it_was_applied_is_refused(dsn: str) -> None:
    migrate(dsn, [ONE])
    with pytest.raises(StartError, match="migration 0001_one was changed after it was applied"):
        migrate(dsn, [Migration(1, "one", ONE.sql + " ", 1), TWO])
    assert "two" not in tables(dsn)


def test_a_newer_database_is_refused_unless_it_says_that_we_can_still_run(dsn: str) -> None:
    migrate(dsn, [ONE, TWO])
    with pytest.raises(StartError, match=r"has schema version 2 \(two\), this torkd knows 1: install a newer torkd"):
        migrate(dsn, [ONE])


def test_a_newer_database_that_says_so_is_used_as_it_is(dsn: str) -> None:
    migrate(dsn, [ONE, Migration(2, "two", TWO.sql, 1)])
    assert migrate(dsn, [ONE]) == []


def test_a_database_of_tork_is_refused_and_left_as_it_is(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE jobs (id varchar(32) PRIMARY KEY, state varchar(10))")
    with pytest.raises(StartError, match="has a table jobs that is not torkd's"):
        migrate(dsn)
    assert rows(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("jobs",)]


def test_a_migration_that_fails_leaves_nothing_and_keeps_those_before_it(dsn: str) -> None:
    bad = Migration(2, "bad", "CREATE TABLE half (id int); SELECT 1 / 0;", 2)
    with pytest.raises(DatastoreUnavailable, match="can't be migrated: division by zero"):
        migrate(dsn, [ONE, bad])
    assert tables(dsn) == {"schema_migrations", "one"}
    assert migrate(dsn, [ONE, TWO]) == ["0002_two"]


def test_a_table_that_somebody_holds_is_waited_for_and_then_tried_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(dsn, [ONE])
    tries: list[float] = []
    with psycopg.connect(dsn) as somebody:
        somebody.execute("LOCK TABLE one")

        def pause(seconds: float) -> None:
            tries.append(seconds)
            somebody.rollback()

        monkeypatch.setattr("torkd.datastore.postgres.migrations.time.sleep", pause)
        assert migrate(dsn, [ONE, Migration(2, "two", "ALTER TABLE one ADD COLUMN more text;", 2)]) == ["0002_two"]
    assert len(tries) == 1


def test_a_server_that_does_not_answer_is_said_to_be_unavailable() -> None:
    with pytest.raises(DatastoreUnavailable, match="can't be migrated"):
        migrate("host=127.0.0.1 port=1 dbname=none connect_timeout=2")


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("hots=127.0.0.1 password=hush", 'invalid connection option "hots"'),
        ("postgres//user:hush@host", "it can't be read"),
    ],
)
def test_a_dsn_that_is_none_is_a_mistake_and_not_shown(dsn: str, told: str) -> None:
    with pytest.raises(StartError) as caught:
        migrate(dsn)
    assert str(caught.value).startswith(f"datastore.postgres.dsn: {told} (right would be like ")
    assert "hush" not in str(caught.value)


def test_shipped_migrations_are_numbered_without_gaps_and_say_who_can_still_run() -> None:
    versions = [migration.version for migration in shipped()]
    assert versions == list(range(1, len(versions) + 1))
    assert all(1 <= migration.oldest <= migration.version for migration in shipped())


def test_what_tasks_had_printed_moves_to_the_partition_of_its_day(dsn: str) -> None:
    steps = shipped()
    before = next(step.version for step in steps if step.name == "log_days") - 1
    migrate(dsn, steps[:before])
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO task_log_parts (task_id, dispatch, run_id, number, job_id, contents, created_at) "
            "SELECT 't', 1, 'r', n, 'j', 'line ' || n, now() - make_interval(days => n * 60) FROM generate_series(0, 3) n"
        )
    migrate(dsn, steps)
    found = rows(dsn, "SELECT seq, contents, tableoid::regclass::text FROM task_log_parts ORDER BY seq")
    assert [(seq, contents) for seq, contents, _ in found] == [(n + 1, f"line {n}") for n in range(4)]
    assert [home == "task_log_parts_default" for _, _, home in found] == [False, False, True, True]
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT nextval('task_log_parts_seq')").fetchone() == (5,)


def test_what_is_searched_gets_what_a_job_has_and_daemons_of_before_go_on_adding_to_it(dsn: str) -> None:
    steps = shipped()
    before = next(step.version for step in steps if step.name == "searched_rows") - 1
    migrate(dsn, steps[:before])
    add = (
        """INSERT INTO jobs (id, root_id, name, state, task_count, created_by, created_at, viewers)
           VALUES (%(id)s, %(id)s, 'a', 'RUNNING', 1, 'ann', '2026-01-02T03:04:05Z', '{bob}')""",
        "INSERT INTO job_details (job_id, tags, search) VALUES (%(id)s, '{a,b}', to_tsvector('film'))",
    )
    with psycopg.connect(dsn) as connection:
        for statement in add:
            connection.execute(statement, {"id": "old"})
    migrate(dsn, steps)
    with psycopg.connect(dsn) as connection:
        for statement in add:
            connection.execute(statement, {"id": "new"})
    found = rows(
        dsn, "SELECT job_id, created_at::text, created_by, viewers, tags, search::text FROM job_details ORDER BY 1"
    )
    at = "2026-01-02 03:04:05+00"
    assert found == [(job_id, at, "ann", ["bob"], ["a", "b"], "'film':1") for job_id in ("new", "old")]
