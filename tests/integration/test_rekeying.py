"""Everything that is stored is sealed anew, while jobs go on; a row that somebody else works on is not touched meanwhile."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.support.builders import START, a_job, a_task, an_each
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.sealed_play import SECRET, a_secret_job, everything, playing
from tork.errors import DatastoreUnavailable, StartError
from tork.job import Schedule
from tork.task import WebhookDefinition
from torkd.datastore.postgres import rekeying
from torkd.datastore.postgres.sealed_columns import COLUMNS, MARK
from torkd.datastore.postgres.sealed_tables import SEALED_TABLES
from torkd.datastore.scheduling import ScheduleRow
from torkd.datastore.webhook_protocol import Settlement
from torkd.sealing import KeyRing

pytestmark = pytest.mark.postgres

CLEAR, FIRST, BOTH, SECOND = KeyRing(), KeyRing("first"), KeyRing("second", ["first"]), KeyRing("second")
NEVER_SEALED = {
    ("nodes", "name"), ("users", "name"), ("roles", "name"), ("api_keys", "name"), ("schema_migrations", "name")
}  # fmt: skip


def rekey(dsn: str, keys: KeyRing, *, clear: bool = False) -> rekeying.Resealed:
    with open_datastore(dsn, keys=keys) as datastore:
        work = datastore.rekeying(clear=clear)
        work.begin()
        found = work.run()
        if not any(found.left.values()):
            work.note_done()
        return found


def play_half(dsn: str, keys: KeyRing) -> None:
    """A job in its middle, with something in every table."""
    with playing(dsn, keys) as play:
        play.submit(a_secret_job())
        play.complete("first", result=f"result {SECRET}")
        play.submit(a_job(an_each("{{ sequence(1, 700) }}", a_task("many"), concurrency=1)), "large")
        add_schedule(play)
        hook = WebhookDefinition(url="http://h/1", headers={"Authorization": "{{ secrets.token }}"})
        play.submit(a_job(webhooks=[hook], secrets={"token": SECRET}), "hooked")
        claimed = play.datastore.claim_webhooks("n1", lease_seconds=0, limit=1, busy=[])
        assert claimed is not None
        play.datastore.settle_webhooks(claimed, Settlement(tries=1, tried_at=START, error=f"no {SECRET}"))
        play.submit(a_job(a_task("t", run=f"{MARK}x"), name=f"{MARK}clear:AAAA", output=MARK), "tricky")


def add_schedule(play: DatastorePlay) -> None:
    """One with a secret."""
    definition = a_job(name="again", secrets={"token": SECRET}, schedule=Schedule(cron="@daily"))
    with play.datastore.begin() as batch:
        now = batch.now()
        batch.add_schedule(
            ScheduleRow(
                id="schedule", definition=definition, zone="UTC", created_by="ann", created_at=now,
                next_tick_at=None, due_at=None,
            )
        )  # fmt: skip


def play_rest(dsn: str, keys: KeyRing) -> None:
    with playing(dsn, keys, count_from=5_000) as play:
        play.complete_rows(play.tasks(name="item"))
        (sub,) = play.jobs_named("sub")
        play.complete("inner", job_id=sub["id"], result=f"deep {SECRET}")
        job = play.datastore.get_job("job")
        assert (job.result, job.secrets) == (f"deep {SECRET}", {"token": SECRET})
        assert play.datastore.get_schedule("schedule").secrets == {"token": SECRET}
        tricky = play.datastore.get_job("tricky")
        assert (tricky.name, tricky.output, tricky.tasks[0].run) == (f"{MARK}clear:AAAA", MARK, f"{MARK}x")


def test_after_it_the_older_key_is_needed_no_more_and_jobs_go_on(dsn: str) -> None:
    play_half(dsn, FIRST)
    done = rekey(dsn, BOTH)
    assert (sum(done.left.values()), done.damaged) == (0, [])
    assert all(done.done.values()), done.done
    assert is_rekeyed(dsn, BOTH)
    play_rest(dsn, SECOND)


def is_rekeyed(dsn: str, keys: KeyRing) -> bool:
    """As the doctor sees it."""
    with open_datastore(dsn, keys=keys) as datastore:
        examined = datastore.examine(lease_seconds=1, late_seconds=1, unseen_seconds=1)
        assert examined.older_keys == keys.older_count
        return examined.is_rekeyed


def test_the_doctor_takes_back_what_it_said_when_another_key_begins_to_seal(dsn: str) -> None:
    play_half(dsn, FIRST)
    assert not is_rekeyed(dsn, BOTH)
    rekey(dsn, BOTH)
    with playing(dsn, KeyRing("third", ["second", "first"]), count_from=5_000) as play:
        play.submit(a_job(), "third")
    assert not is_rekeyed(dsn, KeyRing("third", ["second", "first"]))


def test_a_database_that_was_clear_is_sealed(dsn: str) -> None:
    play_half(dsn, CLEAR)
    assert SECRET in everything(dsn)
    rekey(dsn, SECOND)
    assert SECRET not in everything(dsn)
    play_rest(dsn, SECOND)


def test_encryption_ends_only_when_that_is_wanted(dsn: str) -> None:
    play_half(dsn, FIRST)
    assert rekey(dsn, KeyRing(None, ["first"]), clear=True).left == dict.fromkeys(
        (table.name for table in SEALED_TABLES), 0
    )
    assert FIRST.key_id not in everything(dsn)
    play_rest(dsn, CLEAR)


def test_done_twice_it_does_nothing_the_second_time(dsn: str) -> None:
    play_half(dsn, FIRST)
    rekey(dsn, BOTH)
    before = everything(dsn)
    assert not any(rekey(dsn, BOTH).done.values())
    assert everything(dsn) == before


def test_killed_in_its_middle_it_is_begun_again(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    play_half(dsn, FIRST)
    monkeypatch.setattr(rekeying, "GROUP_ROWS", 1)
    with open_datastore(dsn, keys=BOTH) as datastore:
        work = datastore.rekeying()
        work.begin()
        looked: list[int] = []
        change = work._change

        def until_killed(*arguments: object, **options: object) -> object:
            looked.append(1)
            if len(looked) > 4:
                raise KeyboardInterrupt
            return change(*arguments, **options)  # type: ignore[arg-type] # handed on as they came

        monkeypatch.setattr(work, "_change", until_killed)
        with pytest.raises(KeyboardInterrupt):
            work.run()
        left = datastore.rekeying().count()
    assert sum(left.values()) > 0
    assert left["jobs"] == 0
    done = rekey(dsn, BOTH)
    assert done.done == left
    play_rest(dsn, SECOND)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_windows_and_groups_leave_nothing_out(dsn: str, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    play_half(dsn, FIRST)
    monkeypatch.setattr(rekeying, "WINDOW", window)
    monkeypatch.setattr(rekeying, "GROUP_BYTES", 100)
    assert not any(rekey(dsn, BOTH).left.values())
    play_rest(dsn, SECOND)


def test_rows_of_a_job_that_is_being_changed_are_left_until_that_is_done(dsn: str) -> None:
    play_half(dsn, FIRST)
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM jobs WHERE id = 'job' FOR NO KEY UPDATE")
        other.execute("UPDATE job_context SET value = 'set meanwhile' WHERE job_id = 'job' AND key = 'inputs.given'")
        results: list[rekeying.Resealed] = []
        working = threading.Thread(target=lambda: results.append(rekey(dsn, BOTH)))
        working.start()
        working.join(0.5)
        assert working.is_alive(), "it comes back to them"
        other.commit()
        working.join(20)
    (done,) = results
    assert not any(done.left.values())
    with playing(dsn, SECOND) as play:
        assert play.datastore.get_job("job").inputs == {"given": "set meanwhile"}


def test_a_value_that_was_changed_is_told_and_left_and_the_others_are_done(dsn: str) -> None:
    play_half(dsn, FIRST)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE tasks SET spec = left(spec, length(spec) - 8) || 'AAAAAAA=' WHERE name <> ''")
    done = rekey(dsn, BOTH)
    assert done.left["tasks"] == len(done.damaged) > 0
    assert sum(done.left.values()) == done.left["tasks"]


def test_it_refuses_to_seal_with_a_key_that_no_daemon_at_work_has(dsn: str) -> None:
    play_half(dsn, FIRST)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO nodes (id, lease_id, name, hostname, status, version, started_at, last_heartbeat_at) "
            "VALUES ('n', 'l', 'n', 'h', 'UP', '1', now(), now())"
        )
    before = everything(dsn)
    with pytest.raises(StartError, match="daemons are at work"):
        rekey(dsn, BOTH)
    assert everything(dsn) == before
    with playing(dsn, BOTH, count_from=5_000) as play:
        play.submit(a_job(), "of a daemon with the key")
    assert not any(rekey(dsn, BOTH).left.values())


def test_without_the_older_key_it_changes_nothing(dsn: str) -> None:
    play_half(dsn, FIRST)
    before = everything(dsn)
    with pytest.raises(StartError, match="sealed with the encryption key"):
        rekey(dsn, SECOND)
    assert everything(dsn) == before


def test_a_key_of_long_ago_that_is_missing_is_told(dsn: str) -> None:
    play_half(dsn, FIRST)
    with playing(dsn, BOTH, count_from=5_000) as play:
        play.submit(a_job(), "later")
    with pytest.raises(DatastoreUnavailable, match=f"sealed with the encryption key {FIRST.key_id}"):
        rekey(dsn, SECOND)


def test_every_column_that_is_sealed_is_sealed_anew(dsn: str) -> None:
    """A table with such a column belongs into SEALED_TABLES, or into the list of those that are never sealed."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND column_name = ANY(%s) AND data_type = 'text'",
            (list(COLUMNS),),
        ).fetchall()
    known = {(table.name, column) for table in SEALED_TABLES for column in table.columns}
    assert set(found) - NEVER_SEALED == known
