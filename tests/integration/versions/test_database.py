"""A database of the first migration, in the middle of several jobs, is carried on by today's code; and jobs go on during a migration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.builders import a_job, a_parallel, a_task, an_each
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine, new_id
from tests.support.postgres import PostgresServer
from tests.support.recorded import fill, read_message, recorded_database, recorded_messages
from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable
from tork.job import JobState
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunClaimed, RunEnded, RunProgressed
from torkd.clock import utc_now
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.postgres.migrations import Migration, migrate, shipped
from torkd.doctor.doctor import Doctor, DoctorOptions

pytestmark = pytest.mark.postgres

RECORDED = recorded_database()
UNFINISHED = ["each", "parallel", "retry", "steps", "subjob"]
GATE = 4711
"""An advisory lock that holds a migration in the middle until the test lets it go on."""
SLOW = f"""
ALTER TABLE tasks ADD COLUMN of_later text;
ALTER TABLE jobs ADD COLUMN of_later text NOT NULL DEFAULT '';
SELECT pg_advisory_xact_lock({GATE});
CREATE TABLE later (id text PRIMARY KEY);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer.start() as server:
        yield server


@pytest.fixture
def dsn(server: PostgresServer) -> Iterator[str]:
    """Of the first migration, with the recorded rows."""
    dsn = server.create_database()
    migrate(dsn, shipped()[:1])
    fill(dsn, RECORDED["rows"])
    yield dsn
    server.drop_database(dsn)


@pytest.fixture
def datastore(dsn: str) -> Iterator[PostgresDatastore]:
    migrate(dsn)
    with open_datastore(dsn) as datastore:
        yield datastore


@pytest.fixture
def play(datastore: PostgresDatastore, dsn: str) -> Iterator[DatastorePlay]:
    with DatastorePlay(datastore, dsn) as play:
        play.count_from(1_000)
        yield play


def test_the_first_migration_is_what_it_was() -> None:
    assert shipped()[0].checksum == RECORDED["migration"]


def test_what_was_stored_is_shown(datastore: PostgresDatastore) -> None:
    job = datastore.get_job("steps")
    assert (job.name, job.state, job.inputs, job.tags) == ("steps", JobState.RUNNING, {"who": "Ada"}, ["recorded"])
    assert [(task.name, task.state) for task in job.execution] == [("first", "COMPLETED"), ("second", "SCHEDULED")]
    assert [part.contents for part in datastore.job_log("steps", text="", page=1, size=10).items] == ["hello\n"]
    assert datastore.get_job("done").state is JobState.COMPLETED
    assert datastore.get_job("failed").error == "boom"
    assert datastore.secrets_of("steps") == {"pass": "correct-horse"}


def test_recorded_messages_carry_recorded_jobs_on(play: DatastorePlay) -> None:
    messages: list[Any] = [read_message(document) for document in recorded_messages()]
    play.handle(*(message for message in messages if isinstance(message, RunClaimed | RunEnded | RunProgressed)))
    assert play.states("steps") == {"first": "COMPLETED", "second": "COMPLETED", "third": "SCHEDULED"}
    assert play.states("parallel") == {
        "parallel": "COMPLETED",
        "left": "COMPLETED",
        "right": "COMPLETED",
        "after": "SCHEDULED",
    }
    assert play.states("subjob") == {"subjob": "COMPLETED", "last": "SCHEDULED"}
    assert play.row("SELECT value FROM job_context WHERE key = 'tasks.two'")["value"] == "two is done"
    assert play.row("SELECT value FROM job_context WHERE key = 'tasks.out'")["value"] == "from the sub-job"


def test_every_recorded_job_ends_under_todays_engine(datastore: PostgresDatastore, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE tasks SET queue = 'default' WHERE queue = 'fast'")
    with RunningEngine(datastore) as engine:
        engine.start_worker(slots=8)
        engine.wait_for_all(UNFINISHED)
        assert datastore.get_job("steps").execution[-1].name == "third"
        assert len(datastore.get_job("each").execution) == 131
        doctor = Doctor(datastore, engine.broker, DoctorOptions(pause=0), new_id=new_id, clock=utc_now)
        assert [check.message for check in doctor.examine().checks if not check.ok] == []


class Load:
    """Submits jobs, one after the other, until it is told to stop. What is answered with "not now" is sent again, as clients do."""

    def __init__(self, engine: RunningEngine) -> None:
        self._engine = engine
        self._done = threading.Event()
        self.submitted: list[str] = []
        self._thread = threading.Thread(target=self._submit)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(60)

    def _submit(self) -> None:
        kinds = [
            a_job(a_task("a"), a_task("b")),
            a_job(a_parallel(a_task("c"), a_task("d"))),
            a_job(an_each("{{ sequence(0, 20) }}")),
        ]
        while not self._done.is_set():
            try:
                self.submitted.append(self._engine.submit(kinds[len(self.submitted) % len(kinds)]))
            except DatastoreUnavailable:
                continue


def test_jobs_go_on_while_a_migration_holds_their_tables(datastore: PostgresDatastore, dsn: str) -> None:
    """What was submitted before, while the tables are locked, and after: all of it ends, under code that knows no migration."""
    known = shipped()
    later = Migration(known[-1].version + 1, "later", SLOW, known[-1].version)
    with (
        RunningEngine(datastore, broker=MemoryBroker()) as engine,
        psycopg.connect(dsn, autocommit=True) as gate,
    ):
        engine.start_worker(slots=4)
        with Load(engine) as load:
            wait_until(lambda: len(load.submitted) > 5)
            gate.execute("SELECT pg_advisory_lock(%s)", (GATE,))
            applied: list[str] = []
            migrating = threading.Thread(target=lambda: applied.extend(migrate(dsn, [*known, later])))
            migrating.start()
            try:
                wait_until(lambda: _waiting_for(gate, "tasks", "jobs"))
            finally:
                gate.execute("SELECT pg_advisory_unlock(%s)", (GATE,))
                migrating.join(60)
            assert applied == [f"{later.version:04d}_later"]
            submitted = len(load.submitted)
            wait_until(lambda: len(load.submitted) > submitted + 5)
        engine.wait_for_all(load.submitted)
        assert migrate(dsn) == [], "it still can work with the newer database"


def _waiting_for(connection: psycopg.Connection[Any], *tables: str) -> bool:
    """Whether somebody waits for a lock of one of these tables, which the migration holds."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation::regclass::text = ANY(%s)"
    (count,) = connection.execute(query, (list(tables),)).fetchone() or (0,)
    return bool(count)
