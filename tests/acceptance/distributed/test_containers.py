"""Workers with a container engine, over RabbitMQ: one that dies takes its container up again, and one that stays away loses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, MakeCluster
from tests.support.daemon import Daemon
from tests.support.engines import ContainerEngine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

LINES = 60
JOB: dict[str, Any] = {
    "name": "goes on",
    "output": "{{ tasks.host }}",
    "tasks": [
        {
            "name": "prints",
            "image": "bb",
            "var": "host",
            "run": f"n=0; while [ $n -lt {LINES} ]; do echo out $n; n=$((n + 1)); sleep 0.1; done\nhostname > $TORK_OUTPUT",
        }
    ],
}


def begun(cluster: Cluster, coordinator: Daemon) -> str:
    """A job that has printed some of its lines."""
    job_id = coordinator.submit(JOB)
    wait_until(lambda: "out 5\n" in coordinator.log_text(job_id), timeout=40, describe=cluster.told)
    return job_id


def printed(coordinator: Daemon, job_id: str) -> list[str]:
    return [line for line in coordinator.log_text(job_id).splitlines() if line.startswith("out ")]


def nothing_is_left(engine: ContainerEngine, job_id: str) -> None:
    wait_until(lambda: not engine.api.left_with(f"torkd.job={job_id}"), timeout=90)


def test_a_killed_worker_takes_its_container_up_again(
    make_cluster: MakeCluster, container_engine: ContainerEngine, tmp_path: Path
) -> None:
    cluster = make_cluster({"TORK_WORKER_LEASE": "15s", "TORK_WORKER_HEARTBEAT": "1s"})
    coordinator = cluster.start_coordinator()
    worker = cluster.start_worker(slots=1, data=tmp_path / "data", settings=container_engine.settings)
    job_id = begun(cluster, coordinator)
    cluster.kill(worker)
    worker.start()
    job = coordinator.wait(job_id, within=60)
    (task,) = job["execution"]
    assert (job["state"], "redelivered" in task) == ("COMPLETED", False)
    wait_until(lambda: len(printed(coordinator, job_id)) == LINES)
    assert printed(coordinator, job_id) == [f"out {number}" for number in range(LINES)]
    nothing_is_left(container_engine, job_id)


def test_what_a_lost_worker_left_runs_elsewhere_and_is_removed_by_its_neighbour_on_the_engine(
    make_cluster: MakeCluster, container_engine: ContainerEngine, tmp_path: Path
) -> None:
    cluster = make_cluster()
    coordinator = cluster.start_coordinator()
    # Two workers of one host: the second one can tell that the first one's node id is nobody's any more.
    lost = cluster.start_worker(slots=1, data=tmp_path / "data", settings=container_engine.settings)
    job_id = begun(cluster, coordinator)
    cluster.start_worker(slots=1, data=tmp_path / "data", settings=container_engine.settings)
    cluster.kill(lost)
    job = coordinator.wait(job_id, within=90)
    (task,) = job["execution"]
    assert (job["state"], task["redelivered"]) == ("COMPLETED", 1)
    wait_until(lambda: printed(coordinator, job_id)[-LINES:] == [f"out {number}" for number in range(LINES)])
    nothing_is_left(container_engine, job_id)
