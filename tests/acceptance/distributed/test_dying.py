"""Whatever dies: every accepted job ends, every result counts once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.cluster import TWO_TASKS, TWO_TASKS_RESULT, Cluster
from tests.support.gates import Gate
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

JOBS = 500
NO_OPS = {"name": "no-ops", "tasks": [{"name": "first", "run": "true"}, {"name": "second", "run": "true"}]}


def count_runs(gate: Gate, marks: Path) -> dict[str, Any]:
    """A job of one task that leaves a file for each of its executions, and waits at the gate."""
    script = f'touch "{marks}/$$"; while [ ! -e {gate.path} ]; do sleep 0.05; done; echo -n "$$" > "$TORK_OUTPUT"'
    return {
        "name": "counted",
        "tasks": [{"name": "only", "var": "pid", "run": script}],
        "output": "{{ tasks.pid }}",
    }


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    directory = tmp_path / "marks"
    directory.mkdir()
    return directory


def pids(marks: Path) -> set[str]:
    return {mark.name for mark in marks.iterdir()}


def test_a_task_of_a_killed_worker_runs_again_elsewhere(cluster: Cluster, tmp_path: Path, marks: Path) -> None:
    coordinator, first = cluster.start_coordinator(), cluster.start_worker(slots=1)
    gate = Gate(tmp_path / "gate")
    job_id = coordinator.submit(count_runs(gate, marks))
    wait_until(lambda: len(pids(marks)) == 1, describe=cluster.told)
    (before,) = pids(marks)
    cluster.start_worker(slots=1)
    cluster.kill(first)
    wait_until(lambda: len(pids(marks)) == 2, timeout=20, describe=cluster.told)
    gate.open()
    job = coordinator.wait(job_id)
    (task,) = job["execution"]
    assert (job["state"], task["redelivered"]) == ("COMPLETED", 1)
    assert job["result"] in pids(marks) - {before}


def test_the_late_report_of_a_frozen_worker_is_not_counted(cluster: Cluster, tmp_path: Path, marks: Path) -> None:
    coordinator, frozen = cluster.start_coordinator(), cluster.start_worker(slots=1)
    gate, late_gate = Gate(tmp_path / "gate"), Gate(tmp_path / "late")
    job = count_runs(gate, marks)
    after = {"name": "after", "run": f"while [ ! -e {late_gate.path} ]; do sleep 0.05; done"}
    job_id = coordinator.submit({**job, "tasks": [*job["tasks"], after]})
    wait_until(lambda: len(pids(marks)) == 1, describe=cluster.told)
    (before,) = pids(marks)
    cluster.freeze(frozen)
    cluster.start_worker(slots=1)
    wait_until(lambda: len(pids(marks)) == 2, timeout=30, describe=cluster.told)
    # Both runs come to their end; the first one is late.
    gate.open()
    wait_until(lambda: len(coordinator.job(job_id)["execution"]) == 2, describe=cluster.told)
    cluster.resume(frozen)
    wait_until(lambda: frozen.is_up() and not any(str(before) == str(p.pid) for p in frozen.processes()))
    late_gate.open()
    ended = coordinator.wait(job_id)
    assert ended["state"] == "COMPLETED"
    assert ended["result"] in pids(marks) - {before}
    assert [(task["name"], task["state"]) for task in ended["execution"]] == [
        ("only", "COMPLETED"),
        ("after", "COMPLETED"),
    ]
    # It is of use again.
    cluster.kill(cluster.workers[1])
    assert coordinator.wait(coordinator.submit(TWO_TASKS))["state"] == "COMPLETED"


def test_500_jobs_are_completed_after_the_only_coordinator_was_killed(cluster: Cluster) -> None:
    coordinator = cluster.start_coordinator()
    cluster.start_worker(slots=8)
    ids = cluster.submit_all([NO_OPS] * JOBS)
    cluster.wait_for_count(JOBS // 10)
    cluster.kill(coordinator)
    coordinator.start()
    cluster.wait_for_count(JOBS)
    assert_each_task_counts_once(cluster, ids)


def test_500_jobs_are_completed_after_rabbitmq_was_restarted(cluster: Cluster) -> None:
    cluster.start_coordinator()
    cluster.start_worker(slots=8)
    ids = cluster.submit_all([NO_OPS] * JOBS)
    cluster.wait_for_count(JOBS // 10)
    began_at = time.monotonic()
    cluster.restart_broker()
    cluster.wait_for_count(JOBS, within=60 - (time.monotonic() - began_at))
    assert_each_task_counts_once(cluster, ids)


def test_no_job_is_lost_when_rabbitmq_is_wiped(cluster: Cluster) -> None:
    cluster.start_coordinator()
    cluster.start_worker(slots=4)
    ids = cluster.submit_all([TWO_TASKS] * 200)
    cluster.wait_for_count(20)
    cluster.wipe_broker()
    cluster.wait_for_count(200)
    assert_each_task_counts_once(cluster, ids)
    assert {cluster.coordinators[0].job(job_id)["result"] for job_id in ids} == {TWO_TASKS_RESULT}


def test_no_job_is_lost_when_postgres_is_killed(cluster: Cluster) -> None:
    cluster.start_coordinator()
    cluster.start_worker(slots=4)
    ids = cluster.submit_all([TWO_TASKS] * 200)
    cluster.wait_for_count(20)
    cluster.restart_postgres()
    cluster.wait_for_count(200)
    assert_each_task_counts_once(cluster, ids)


def test_one_coordinator_of_two_may_freeze_or_die_and_no_worker_loses_a_task(
    cluster: Cluster, tmp_path: Path, marks: Path
) -> None:
    first, second = cluster.start_coordinator(), cluster.start_coordinator()
    cluster.start_worker(slots=1)
    gate = Gate(tmp_path / "gate")
    job_id = second.submit(count_runs(gate, marks))
    wait_until(lambda: second.job(job_id)["state"] == "RUNNING" and len(pids(marks)) == 1, describe=cluster.told)
    cluster.freeze(first)
    others = [second.submit(TWO_TASKS) for _ in range(3)]
    cluster.start_worker(slots=1)
    for other in others:
        assert second.wait(other)["state"] == "COMPLETED"
    frozen_at = leases_judged_at(cluster)
    # For more than two leases the coordinator that is left has heard everybody.
    wait_until(lambda: leases_judged_at(cluster) - frozen_at > 7, timeout=30, describe=cluster.told)
    assert len(pids(marks)) == 1
    cluster.kill(first)
    gate.open()
    job = second.wait(job_id)
    assert (job["state"], job["execution"][0].get("redelivered", 0)) == ("COMPLETED", 0)


def leases_judged_at(cluster: Cluster) -> float:
    """The database's time of the last look at leases, in seconds."""
    with psycopg.connect(cluster.dsn) as connection:
        row = connection.execute("SELECT extract(epoch FROM heartbeats_until) FROM engine").fetchone()
    assert row is not None
    return float(row[0])


def assert_each_task_counts_once(cluster: Cluster, job_ids: list[str]) -> None:
    for job_id in job_ids:
        job = cluster.coordinators[0].job(job_id)
        assert job["state"] == "COMPLETED"
        assert [(task["position"], task["state"]) for task in job["execution"]] == [(1, "COMPLETED"), (2, "COMPLETED")]
