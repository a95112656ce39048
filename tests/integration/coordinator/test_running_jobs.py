"""Every kind of job from its submission to its end, with a real worker and a real database."""

from __future__ import annotations

import threading

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine, until_stopped
from tests.support.waiting import wait_until
from tork.errors import IdempotencyConflict, NotFound, StateConflict
from tork.job import JobDefinition, JobState
from tork.task import Retry
from torkd.datastore.protocol import IdempotencyKey, LogPosition
from torkd.runtime.fake import follow_script

pytestmark = pytest.mark.postgres

STEP = a_task("step", run="output a", var="got")


@pytest.mark.parametrize(
    ("definition", "result"),
    [
        pytest.param(a_job(), "", id="one task"),
        pytest.param(a_job(STEP, a_task("of {{ tasks.got }}"), output="{{ tasks.got }}"), "a", id="steps"),
        pytest.param(a_job(a_task(if_="{{ false }}"), output="end"), "end", id="a task that is skipped"),
        pytest.param(a_job(a_parallel(*(a_task(f"t{n}") for n in range(9))), output="end"), "end", id="parallel"),
        pytest.param(a_job(an_each("{{ sequence(0, 300) }}"), output="end"), "end", id="each"),
        pytest.param(
            a_job(
                an_each("{{ sequence(0, 20) }}", a_task(if_="{{ item.value % 3 == 0 }}"), concurrency=2), output="end"
            ),
            "end",
            id="each with little room and skipped children",
        ),
        pytest.param(a_job(an_each("{{ [] }}"), output="end"), "end", id="each of nothing"),
        pytest.param(
            a_job(an_each("{{ sequence(0, 4) }}", an_each("{{ sequence(0, 4) }}", each_var="inner")), output="end"),
            "end",
            id="each within each",
        ),
        pytest.param(
            a_job(
                a_subjob(a_task(run="output x", var="v"), subjob={"output": "{{ tasks.v }}!"}, var="s"),
                output="{{ tasks.s }}",
            ),
            "x!",
            id="sub-job",
        ),
        pytest.param(a_job(a_subjob(a_task(), detached=True), output="end"), "end", id="detached sub-job"),
        pytest.param(
            a_job(a_parallel(a_subjob(a_subjob(an_each("{{ sequence(0, 5) }}"))), a_task()), output="end"),
            "end",
            id="sub-jobs in a parallel",
        ),
    ],
)
def test_a_job_completes(engine: RunningEngine, stored: DatastorePlay, definition: JobDefinition, result: str) -> None:
    engine.start_worker()
    job_id = engine.submit(definition)
    engine.wait_for(job_id)
    assert (engine.datastore.get_job(job_id).result or "") == result
    wait_until(lambda: not stored.rows("SELECT 1 FROM jobs WHERE state <> 'COMPLETED'"))
    assert stored.rows("SELECT name FROM tasks WHERE state NOT IN ('COMPLETED', 'SKIPPED')") == []
    wait_until(lambda: stored.outbox() == [])


def test_a_task_that_fails_fails_its_job_and_stops_its_siblings(engine: RunningEngine, stored: DatastorePlay) -> None:
    endless = until_stopped()
    engine.runtime.behaviour = lambda run: endless(run) if run.definition.name == "endless" else follow_script(run)
    engine.start_worker()
    fails = a_task("fails", run="print why\nexit 3")
    job_id = engine.submit(a_job(a_parallel(a_task("endless"), fails)))
    engine.wait_for(job_id, JobState.FAILED)
    assert engine.datastore.get_job(job_id).error == "exit code 3: why"
    wait_until(lambda: engine.runtime.active_count == 0)
    states = stored.states(job_id)
    assert (states["endless"], states["fails"]) == ("CANCELLED", "FAILED")


def test_a_retry_starts_when_its_delay_is_over(engine: RunningEngine) -> None:
    seen: list[str] = []

    def fail_twice(run: object) -> str:
        seen.append("run")
        if len(seen) < 3:
            raise ZeroDivisionError
        return "done"

    engine.runtime.behaviour = fail_twice
    engine.start_worker()
    retry = Retry(limit=3, initial_delay="50ms", scaling_factor=1)
    job_id = engine.submit(a_job(a_task(retry=retry, var="v"), output="{{ tasks.v }}"))
    engine.wait_for(job_id)
    assert engine.datastore.get_job(job_id).result == "done"
    assert len(seen) == 3


def test_what_tasks_print_is_stored_in_order(engine: RunningEngine) -> None:
    engine.start_worker()
    job_id = engine.submit(a_job(a_task("a", run="print one"), a_task("b", run="print two")))
    engine.wait_for(job_id)

    def parts() -> list[LogPosition]:
        return engine.datastore.log_after(job_id=job_id, seq=0, limit=10)

    wait_until(lambda: len(parts()) == 2)
    assert [position.part.contents for position in parts()] == ["one\n", "two\n"]
    assert engine.datastore.log_state(job_id=job_id).complete


def test_cancelling_stops_what_runs(engine: RunningEngine) -> None:
    started = threading.Event()
    engine.runtime.behaviour = until_stopped(lambda _: started.set())
    engine.start_worker()
    job_id = engine.submit(a_job())
    assert started.wait(20)
    engine.coordinator.cancel(job_id)
    assert engine.state(job_id) is JobState.CANCELLED
    wait_until(lambda: engine.runtime.active_count == 0)
    with pytest.raises(StateConflict, match="job is not running"):
        engine.coordinator.cancel(job_id)


def test_cancelling_while_tasks_complete_ends_each_job_one_way(engine: RunningEngine, stored: DatastorePlay) -> None:
    engine.start_worker()
    job_ids = [engine.submit(a_job(a_task("a"), a_task("b"), a_task("c"))) for _ in range(30)]
    refused = 0
    for job_id in job_ids:
        try:
            engine.coordinator.cancel(job_id)
        except StateConflict:
            refused += 1
    wait_until(lambda: not stored.rows("SELECT 1 FROM tasks WHERE state IN ('SCHEDULED', 'RUNNING', 'PENDING')"))
    wait_until(lambda: not stored.rows("SELECT 1 FROM jobs WHERE state NOT IN ('CANCELLED', 'COMPLETED')"))
    completed = stored.row("SELECT count(*) AS rows FROM jobs WHERE state = 'COMPLETED'")["rows"]
    assert completed == refused


def test_a_cancelled_job_can_be_restarted(engine: RunningEngine) -> None:
    job_id = engine.submit(a_job(a_task("a"), a_task("b")))
    engine.coordinator.cancel(job_id)
    engine.start_worker()
    engine.coordinator.restart(job_id)
    engine.wait_for(job_id)
    with pytest.raises(StateConflict, match="COMPLETED and can not be restarted"):
        engine.coordinator.restart(job_id)


@pytest.mark.parametrize("command", ["cancel", "restart"])
def test_commands_for_unknown_jobs_are_refused(engine: RunningEngine, command: str) -> None:
    with pytest.raises(NotFound, match="job not found"):
        getattr(engine.coordinator, command)("nope")


def test_one_key_makes_one_job_however_often_it_is_submitted_at_once(
    engine: RunningEngine, stored: DatastorePlay
) -> None:
    key = IdempotencyKey(owner="ann", key="k", body=b"x")
    barrier = threading.Barrier(6)
    answers: list[str] = []

    def submit() -> None:
        barrier.wait()
        answers.append(engine.submit(a_job(), key))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(answers) == 6
    assert set(answers) == {stored.row("SELECT id FROM jobs")["id"]}
    with pytest.raises(IdempotencyConflict):
        engine.submit(a_job(), IdempotencyKey(owner="ann", key="k", body=b"y"))


def test_two_batch_loops_share_the_work(stored: DatastorePlay) -> None:
    with RunningEngine(stored.datastore, loops=2, batch_size=20) as engine:
        engine.start_worker(slots=8)
        job_ids = [engine.submit(a_job(a_task("a"), a_parallel(a_task(), a_task()), a_task("z"))) for _ in range(20)]
        engine.wait_for_all(job_ids)
    assert stored.count("tasks") == 20 * 5
