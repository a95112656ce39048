"""Coordinators and workers as processes of their own run what standalone runs, and any number of them share the work."""

from __future__ import annotations

import json
import signal
import urllib.error
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.cluster import TWO_TASKS, Cluster
from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

ECHO = 'echo -n "$VALUE" > "$TORK_OUTPUT"'
EVERY_KIND: dict[str, Any] = {
    "name": "every kind",
    "inputs": {"who": "world"},
    "tasks": [
        {"name": "sequential", "var": "hello", "env": {"VALUE": "hello {{ inputs.who }}"}, "run": ECHO},
        {"name": "side by side", "parallel": {"tasks": [{"name": "left", "run": "true"}, {"name": "right", "run": "true"}]}},
        {
            "name": "for each",
            "each": {"list": "{{ sequence(1, 6) }}", "task": {"name": "item", "env": {"VALUE": "{{ item.value }}"}, "run": ECHO}},
        },
        {
            "name": "a job of its own",
            "var": "inner",
            "subjob": {
                "name": "inner",
                "tasks": [{"name": "within", "var": "said", "env": {"VALUE": "from within"}, "run": ECHO}],
                "output": "{{ tasks.said }}",
            },
        },
        {"name": "again", "run": 'test -e "$MARK" || { touch "$MARK"; exit 1; }', "retry": {"limit": 1, "initialDelay": "10ms"}},
    ],
    "output": "{{ tasks.hello }}, {{ tasks.inner }}",
}  # fmt: skip


def every_kind(mark: Path) -> dict[str, Any]:
    """Its last task fails once."""
    *others, again = EVERY_KIND["tasks"]
    return {**EVERY_KIND, "tasks": [*others, {**again, "env": {"MARK": str(mark)}}]}


def test_a_coordinator_and_a_worker_run_every_kind_of_task(cluster: Cluster, tmp_path: Path) -> None:
    coordinator, worker = cluster.start_coordinator(), cluster.start_worker()
    job = coordinator.wait(coordinator.submit(every_kind(tmp_path / "mark")))
    assert (job["state"], job["result"]) == ("COMPLETED", "hello world, from within")
    assert set(coordinator.call("GET", "/health")["indicators"]) == {"datastore", "broker", "start"}
    assert worker.call("GET", "/health")["status"] == "UP"
    assert not (worker.base / "data" / "postgres").exists(), "a worker has no database"
    assert len(psutil.Process(worker.process.pid).children()) == 1


def test_any_number_of_coordinators_and_workers_share_the_work(cluster: Cluster, tmp_path: Path) -> None:
    for _ in range(2):
        cluster.start_coordinator(processes=2, wait=False)
    hosts = tmp_path / "host"
    for number in range(3):
        # Two of them are of one host.
        cluster.start_worker(wait=False, slots=2, data=hosts if number < 2 else None)
    for daemon in (*cluster.coordinators, *cluster.workers):
        wait_until(daemon.is_up, timeout=30, describe=cluster.told)
    ids = cluster.submit_all([every_kind(tmp_path / f"mark-{number}") for number in range(12)])
    first, second = cluster.coordinators
    jobs = [second.wait(job_id, within=60) for job_id in ids]
    assert {(job["state"], job["result"]) for job in jobs} == {("COMPLETED", "hello world, from within")}
    wait_until(lambda: len(cluster.nodes()) == 7, describe=cluster.told)
    nodes = cluster.nodes()
    assert len({node["id"] for node in nodes}) == 7
    assert {node["port"] for node in nodes} == {daemon.port for daemon in (*cluster.coordinators, *cluster.workers)}
    assert [len(daemon.children("server")) for daemon in (first, second)] == [2, 2]
    ran_at = {task["nodeId"] for job in jobs for task in job["execution"] if task.get("nodeId")}
    assert len(ran_at) == 3, "not all workers had a part in it"


def test_a_killed_process_of_a_coordinator_is_replaced_and_keeps_its_node_id(cluster: Cluster) -> None:
    coordinator = cluster.start_coordinator(processes=2)
    cluster.start_worker()
    wait_until(lambda: len(cluster.nodes()) == 3, describe=cluster.told)
    before = {node["id"] for node in cluster.nodes()}
    victim = coordinator.children("server")[0]
    victim.kill()
    wait_until(lambda: len(coordinator.children("server")) == 2 and not victim.is_running(), describe=coordinator.told)
    jobs = [coordinator.wait(job_id) for job_id in cluster.submit_all([TWO_TASKS] * 10)]
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert {node["id"] for node in cluster.nodes()} == before


def test_a_worker_takes_over_new_queue_sizes(cluster: Cluster) -> None:
    coordinator, worker = cluster.start_coordinator(), cluster.start_worker(slots=1)
    (worker.base / "config.toml").write_text("[worker]\nqueues = { other = 2 }\n")
    worker.process.send_signal(signal.SIGHUP)
    job = {"name": "elsewhere", "tasks": [{"name": "only", "run": "true", "queue": "other"}]}
    assert coordinator.wait(coordinator.submit(job))["state"] == "COMPLETED"


def test_a_terminated_worker_ends_what_it_has_and_leaves_the_rest_to_others(cluster: Cluster, tmp_path: Path) -> None:
    coordinator, first = cluster.start_coordinator(), cluster.start_worker(slots=1)
    gate = Gate(tmp_path / "gate")
    job_id = coordinator.submit(gate.job())
    wait_until(lambda: "started" in coordinator.log_text(job_id), describe=cluster.told)
    waiting = coordinator.submit(TWO_TASKS)
    first.process.send_signal(signal.SIGTERM)
    cluster.start_worker(slots=1)
    assert coordinator.wait(waiting)["state"] == "COMPLETED"
    assert first.process.poll() is None
    gate.open()
    assert first.process.wait(timeout=20) == 0
    job = coordinator.wait(job_id)
    assert (job["state"], len(job["execution"])) == ("COMPLETED", 1)
    assert coordinator.log_text(job_id) == "started\nthrough\n"


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["INT", "TERM twice"])
def test_a_worker_that_ends_at_once_hands_its_task_back(
    cluster: Cluster, tmp_path: Path, signals: list[signal.Signals]
) -> None:
    coordinator = cluster.start_coordinator()
    first = cluster.start_worker(settings={"TORK_WORKER_GRACE": "200ms", "TORK_WORKER_DRAIN": "10m"})
    gate = Gate(tmp_path / "gate")
    job_id = coordinator.submit(gate.job())
    wait_until(lambda: "started" in coordinator.log_text(job_id), describe=cluster.told)
    for number in signals:
        first.process.send_signal(number)
        wait_until(lambda: "draining" in first.told(), describe=cluster.told)
    first.process.wait(timeout=20)
    cluster.start_worker()
    gate.open()
    job = coordinator.wait(job_id)
    (task,) = job["execution"]
    assert (job["state"], task.get("redelivered", 0)) == ("COMPLETED", 0)


def test_a_terminated_coordinator_leaves_everything_to_the_other(cluster: Cluster) -> None:
    first, second = cluster.start_coordinator(), cluster.start_coordinator()
    cluster.start_worker()
    ids = cluster.submit_all([TWO_TASKS] * 30)
    assert first.stop() == 0
    cluster.coordinators.remove(first)
    assert {second.wait(job_id)["state"] for job_id in ids} == {"COMPLETED"}
    first.__exit__(None, None, None)


def test_daemons_wait_for_servers_that_are_away_at_their_start(cluster: Cluster) -> None:
    cluster.stop_broker()
    coordinator, worker = cluster.start_coordinator(wait=False), cluster.start_worker(wait=False)
    for daemon in (coordinator, worker):
        wait_until(lambda daemon=daemon: health(daemon) == "DOWN", timeout=30, describe=cluster.told)  # type: ignore[misc] # mypy infers no lambda with a default
    job_id = coordinator.submit(TWO_TASKS)
    cluster.start_broker()
    for daemon in (coordinator, worker):
        wait_until(daemon.is_up, timeout=30, describe=cluster.told)
    assert coordinator.wait(job_id)["state"] == "COMPLETED"
    assert "Traceback" not in coordinator.told() + worker.told()


def test_a_coordinator_waits_for_its_database(cluster: Cluster) -> None:
    wrong = cluster.dsn.replace("dbname=", "dbname=not_there_")
    coordinator = cluster.start_coordinator(wait=False, settings={"TORK_DATASTORE_POSTGRES_DSN": wrong})
    wait_until(lambda: health(coordinator) == "DOWN", timeout=30, describe=cluster.told)
    assert "can't start yet" in coordinator.told()
    assert coordinator.stop() == 0


def test_a_coordinator_with_a_dsn_that_can_not_be_read_ends_at_once(cluster: Cluster) -> None:
    coordinator = cluster.start_coordinator(wait=False, settings={"TORK_DATASTORE_POSTGRES_DSN": "hots=127.0.0.1"})
    assert coordinator.process.wait(timeout=30) == 2
    assert 'datastore.postgres.dsn: invalid connection option "hots"' in coordinator.told()


def test_a_coordinator_that_was_told_of_no_database_says_so(cluster: Cluster) -> None:
    known = {name: value for name, value in cluster.settings.items() if not name.endswith("_DSN")}
    coordinator = Daemon(known, mode="coordinator")
    with ExitStack() as undo:
        undo.push(coordinator)
        coordinator.start(wait=False)
        wait_until(lambda: "datastore.postgres.dsn is not set" in coordinator.told(), timeout=30)


def health(daemon: Daemon) -> str:
    """What it says of itself; empty when it does not answer."""
    try:
        return str(daemon.call("GET", "/health")["status"])
    except urllib.error.HTTPError as error:
        with error:
            return str(json.load(error)["status"])
    except OSError:
        return ""
