"""Jobs that run as a task of another."""

from __future__ import annotations

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import AutoDelete, TaskState, WebhookDefinition


def test_an_attached_sub_job_belongs_to_its_task() -> None:
    webhook = WebhookDefinition(url="http://h")
    more = {"description": "d", "inputs": {"i": "1"}, "secrets": {"s": "2"}, "webhooks": [webhook]}
    play = Play(a_job(a_subjob(a_task("inner"), subjob=more), a_task("next")))
    sub, parent = play.sub_job(), play.task("subjob")
    assert (sub.parent_job_id, sub.parent_task_id, sub.root_id) == ("job", parent.id, "job")
    assert (sub.state, sub.created_by, sub.has_secrets, sub.task_count) == (JobState.SCHEDULED, "ann", True, 1)
    assert (parent.state, parent.subjob_id) == (TaskState.RUNNING, sub.id)
    assert (play.task("inner").job_id, play.task("inner").root_id, play.task("inner").parent_id) == (
        sub.id,
        "job",
        None,
    )
    definition = play.model.definitions[sub.id]
    assert (definition.description, definition.webhooks) == ("d", [webhook])
    assert play.states() == {"subjob": "RUNNING", "inner": "SCHEDULED"}


def test_the_result_of_a_sub_job_is_that_of_its_task() -> None:
    sub = a_subjob(a_task("inner", var="x"), subjob={"output": "<{{ tasks.x }}>"}, var="out")
    play = Play(a_job(sub, a_task("next", cmd=["{{ tasks.out }}"])))
    play.complete("inner", result="1")
    assert (play.sub_job().state, play.sub_job().result) == (JobState.COMPLETED, "<1>")
    assert (play.task("subjob").state, play.task("subjob").result) == (TaskState.COMPLETED, "<1>")
    assert play.task("subjob").progress == 100.0
    assert play.spec("next").cmd == ["<1>"]
    assert play.context() == {"out": "<1>"}


def test_an_empty_result_of_a_sub_job_sets_nothing() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), var="out"), a_task("next")))
    play.complete("inner")
    assert play.context() == {}
    assert play.states()["next"] == "SCHEDULED"


def test_a_failed_sub_job_fails_its_task_and_the_job_with_its_error() -> None:
    play = Play(a_job(a_subjob(a_parallel(a_task("a"), a_task("b")))))
    play.claim("a", run_id="ra")
    play.claim("b", run_id="rb")
    outcome = play.fail("a", "boom")
    assert play.states() == {"subjob": "FAILED", "parallel": "CANCELLED", "a": "FAILED", "b": "CANCELLED"}
    for job in (play.job, play.sub_job()):
        assert (job.state, job.error) == (JobState.FAILED, "boom")
    assert play.task("subjob").error == "boom"
    assert [order.run_id for order in outcome.orders if order.kind == "stop"] == ["rb"]


def test_a_sub_job_with_a_wrong_output_fails_its_parent_with_the_reason() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), subjob={"output": "{{ nope }}"})))
    play.complete("inner")
    assert {job.state for job in play.model.jobs.values()} == {JobState.FAILED}
    assert "unknown name nope" in (play.job.error or "")
    assert play.job.error == play.sub_job().error == play.task("subjob").error


def test_a_failing_sub_job_in_a_parallel_stops_its_siblings() -> None:
    play = Play(a_job(a_parallel(a_subjob(a_task("inner")), a_task("sibling"), a_subjob(a_task("other"), name="sub2"))))
    play.claim("sibling", run_id="rs")
    play.claim("other", run_id="ro")
    outcome = play.fail("inner")
    assert play.states() == {
        "parallel": "CANCELLED",
        "subjob": "FAILED",
        "inner": "FAILED",
        "sibling": "CANCELLED",
        "sub2": "CANCELLED",
        "other": "CANCELLED",
    }
    assert sorted(order.run_id for order in outcome.orders if order.kind == "stop") == ["ro", "rs"]
    assert sorted(job.state.value for job in play.model.jobs.values()) == ["CANCELLED", "FAILED", "FAILED"]


def test_a_detached_sub_job_lets_the_job_go_on() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), detached=True, var="x", subjob={"output": "r"}), a_task("next")))
    sub, task = play.sub_job(), play.task("subjob")
    assert (sub.parent_job_id, sub.parent_task_id, sub.root_id, sub.created_by) == (None, None, sub.id, "ann")
    assert (task.state, task.subjob_id, task.result, task.progress) == (TaskState.COMPLETED, sub.id, None, 100.0)
    assert play.states() == {"subjob": "COMPLETED", "inner": "SCHEDULED", "next": "SCHEDULED"}
    assert play.task("inner").root_id == sub.id
    play.complete("inner")
    assert (play.sub_job().state, play.sub_job().result, play.context()) == (JobState.COMPLETED, "r", {})


def test_a_detached_sub_job_is_not_ended_with_its_parent_nor_the_parent_with_it() -> None:
    definition = a_job(a_subjob(a_task("inner"), detached=True), a_task("next"))
    cancelled, failed, other = Play(definition), Play(definition), Play(definition)
    cancelled.cancel()
    failed.fail("next")
    other.fail("inner")
    assert cancelled.states()["inner"] == failed.states()["inner"] == "SCHEDULED"
    assert (other.states()["next"], other.sub_job().state) == ("SCHEDULED", JobState.FAILED)


def test_a_detached_sub_job_that_fails_at_once_does_not_touch_its_parent() -> None:
    play = Play(a_job(a_subjob(a_task("inner", image="{{ nope }}"), detached=True)))
    assert (play.job.state, play.sub_job().state) == (JobState.COMPLETED, JobState.FAILED)


def test_sub_jobs_nest() -> None:
    deep = a_subjob(
        a_task("deep", var="x"), name="inner", job_name="inner job", var="y", subjob={"output": "{{ tasks.x }}!"}
    )
    play = Play(a_job(a_subjob(deep, subjob={"output": "{{ tasks.y }}?"}, var="z"), output="{{ tasks.z }}."))
    assert {job.root_id for job in play.model.jobs.values()} == {"job"}
    play.complete("deep", result="1")
    assert (play.job.state, play.job.result) == (JobState.COMPLETED, "1!?.")


def test_a_failure_deep_below_fails_all_jobs_above() -> None:
    deep = a_subjob(a_parallel(a_task("deep"), a_task("sibling")), name="inner", job_name="inner job")
    play = Play(a_job(an_each("{{ [1,2] }}", a_subjob(deep))))
    first = play.instances("deep")[0]
    play.model.tasks[first.id] = first
    play.fail("deep", "far below")
    assert (play.job.state, play.job.error) == (JobState.FAILED, "far below")
    assert not any(task.state.is_active for task in play.model.tasks.values())
    assert not any(job.state.is_active for job in play.model.jobs.values())


def test_only_a_completed_sub_job_is_deleted_after_its_time() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), subjob={"auto_delete": AutoDelete(after="1h")})))
    play.complete("inner")
    assert play.sub_job().delete_at is not None
    assert play.job.delete_at is None


@pytest.mark.parametrize("which", ["job", "sub-job", "deep sub-job"])
def test_cancelling_any_job_of_a_tree_cancels_the_whole_tree(which: str) -> None:
    deep = a_subjob(a_task("deep"), name="inner", job_name="deep")
    play = Play(
        a_job(a_parallel(a_subjob(deep), a_task("sibling"), a_subjob(a_task("aside"), name="s2", job_name="aside")))
    )
    play.claim("deep", run_id="rd")
    outcome = play.cancel({"job": play.job, "sub-job": play.sub_job(), "deep sub-job": play.sub_job("deep")}[which])
    assert {job.state for job in play.model.jobs.values()} == {JobState.CANCELLED}
    assert {task.state for task in play.model.tasks.values()} == {TaskState.CANCELLED}
    assert all(job.failed_at for job in play.model.jobs.values())
    assert [order.run_id for order in outcome.orders] == ["rd"]
    assert {task.version - play.model.jobs[task.job_id].version for task in play.model.tasks.values()} == {0}


def test_an_ended_sub_job_stays_as_it_is_when_the_job_is_cancelled() -> None:
    play = Play(a_job(a_subjob(a_task("inner")), a_task("next")))
    play.complete("inner")
    play.cancel()
    assert (play.sub_job().state, play.job.state) == (JobState.COMPLETED, JobState.CANCELLED)


def test_a_restarted_job_gets_a_fresh_sub_job() -> None:
    play = Play(a_job(a_subjob(a_task("inner"))))
    first = play.sub_job()
    play.fail("inner")
    play.restart()
    assert play.sub_job().id != first.id
    assert play.model.jobs[first.id].state is JobState.FAILED
    play.complete("inner")
    assert play.job.state is JobState.COMPLETED


def test_a_sub_job_that_is_restarted_alone_does_not_revive_its_parent() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), var="x", subjob={"output": "r"})))
    play.fail("inner")
    play.restart(play.sub_job())
    assert (play.sub_job().state, play.job.state) == (JobState.RUNNING, JobState.FAILED)
    play.complete("inner")
    assert (play.sub_job().state, play.job.state, play.context()) == (JobState.COMPLETED, JobState.FAILED, {})
