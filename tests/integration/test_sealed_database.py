"""A database that is given a key, gets another one, or meets a process that lacks it."""

from __future__ import annotations

import pytest

from tests.support.builders import a_job, a_task
from tests.support.sealed_play import SECRET, a_secret_job, everything, playing
from tork.errors import BadData, DatastoreUnavailable
from torkd.datastore.protocol import Dispatch, JobQuery
from torkd.sealing import KeyRing

pytestmark = pytest.mark.postgres

CLEAR, FIRST, SECOND = KeyRing(), KeyRing("first key"), KeyRing("second key", ["first key"])


def test_a_job_goes_on_while_its_database_is_given_a_key_and_another_one(dsn: str) -> None:
    with playing(dsn, CLEAR) as play:
        play.submit(a_secret_job())
    assert SECRET in everything(dsn)
    with playing(dsn, FIRST, count_from=1_000) as play:
        play.complete("first", result=f"result {SECRET}")
        assert {task.spec.env["T"] for task in play.tasks(name="item") if task.spec} == {SECRET, f"result {SECRET}"}
    with playing(dsn, SECOND, count_from=2_000) as play:
        play.complete_rows(play.tasks(name="item"))
        (sub,) = play.jobs_named("sub")
        play.complete("inner", job_id=sub["id"], result=f"deep {SECRET}")
        assert (play.job()["state"], play.job()["result"]) == ("COMPLETED", f"deep {SECRET}")
        job = play.datastore.get_job("job")
        assert (job.inputs, job.secrets, job.result) == ({"given": SECRET}, {"token": SECRET}, f"deep {SECRET}")
        assert play.datastore.secrets_of(sub["id"]) == {"mine": SECRET, "token": SECRET}


def test_nothing_of_a_job_that_began_with_a_key_rests_in_clear(dsn: str) -> None:
    with playing(dsn, FIRST) as play:
        play.submit(a_secret_job())
        task = play.task("first")
        (body,) = play.datastore.bodies([Dispatch(task_id=task.id, dispatch=1)])
        assert (body.definition.env, body.mask) == ({"T": SECRET}, [SECRET])
        play.complete("first", result=f"result {SECRET}")
        play.complete_rows(play.tasks(name="item"))
        (sub,) = play.jobs_named("sub")
        play.complete("inner", job_id=sub["id"], result=f"deep {SECRET}")
        assert play.job()["state"] == "COMPLETED"
        assert SECRET not in everything(dsn)
        (summary,) = play.datastore.list_jobs(JobQuery(text="described"), page=1, size=10).items
        assert (summary.name, summary.inputs) == (f"named {SECRET}", {"given": SECRET})
        assert summary.tags == ["plain", "[REDACTED]"]
        assert play.datastore.list_jobs(JobQuery(text=SECRET), page=1, size=10).items == []
        assert play.datastore.get_task(task.id).result == f"result {SECRET}"
        assert play.datastore.get_task_summary(task.id).result == f"result {SECRET}"
        changes = play.datastore.job_changes("job", 0)
        assert changes.job.result == f"deep {SECRET}"
        assert f"result {SECRET}" in {task.result for task in changes.tasks}


@pytest.mark.parametrize("keys", [CLEAR, KeyRing("another key")], ids=["without-a-key", "with-another-key"])
def test_a_process_that_lacks_the_key_changes_nothing_and_says_so(dsn: str, keys: KeyRing) -> None:
    with playing(dsn, FIRST) as play:
        play.submit(a_secret_job())
    before = everything(dsn)
    sentence = f"the database holds values sealed with the encryption key {FIRST.key_id}"
    with playing(dsn, keys) as lacking:
        for ask in (
            lacking.datastore.check_health,
            lambda: lacking.submit(a_job(), "other"),
            lambda: lacking.datastore.get_job("job"),
            lambda: lacking.datastore.list_jobs(JobQuery(), page=1, size=10),
            lambda: lacking.datastore.secrets_of("job"),
        ):
            with pytest.raises(DatastoreUnavailable, match=sentence):
                ask()
    assert everything(dsn) == before
    with playing(dsn, FIRST) as play:
        play.datastore.check_health()


def test_who_only_looks_does_not_decide_that_values_are_sealed(dsn: str) -> None:
    with playing(dsn, FIRST) as looking:
        looking.datastore.check_health()
        assert looking.datastore.list_jobs(JobQuery(), page=1, size=10).items == []
    with playing(dsn, CLEAR) as play:
        play.datastore.check_health()
        play.submit(a_job())


def test_sealing_may_end_as_long_as_the_key_is_kept(dsn: str) -> None:
    with playing(dsn, FIRST) as play:
        play.submit(a_secret_job())
    with playing(dsn, KeyRing(None, ["first key"]), count_from=1_000) as play:
        play.datastore.check_health()
        play.complete("first", result="in clear again")
        assert play.task("first").result == "in clear again"
        assert "in clear again" in everything(dsn)


def test_a_value_that_was_moved_to_another_job_is_refused_and_that_job_alone_suffers(dsn: str) -> None:
    with playing(dsn, FIRST) as play:
        play.submit(a_secret_job())
        play.submit(a_job(a_task("a"), a_task("b {{ secrets.token }}"), secrets={"token": "other"}), "other")
        play.change(
            "UPDATE job_context SET value = (SELECT value FROM job_context WHERE job_id = 'job' AND key = 'secrets.token') "
            "WHERE job_id = 'other'"
        )
        with pytest.raises(BadData, match="a stored value of job other can't be opened"):
            play.complete("a", job_id="other")
        with pytest.raises(BadData):
            play.datastore.get_job("other")
        play.complete("first", result="fine")
        assert play.task("first").state == "COMPLETED"
