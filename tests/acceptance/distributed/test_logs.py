"""Very long logs over a cluster: every line once and in order, in little memory, whatever dies meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.gates import Gate
from tests.support.log_flood import Follower, Memory, flood, following, stored_lines, torkd_processes
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

MANY_LINES = 600_000
SOME_LINES = 60_000
MOST_GROWTH = {"coordinators": 90_000_000, "worker": 20_000_000, "RabbitMQ": 150_000_000}
"""The log has 30 MB: a worker that kept it would be found out. The others grow once, by what they need for any work."""


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def test_a_very_long_log_is_whole_and_in_order_and_takes_little_memory(cluster: Cluster, gate: Gate) -> None:
    first, second = cluster.start_coordinator(processes=2), cluster.start_coordinator()
    worker = cluster.start_worker(slots=1)
    groups = {
        "coordinators": lambda: [*torkd_processes(first), *torkd_processes(second)],
        "worker": lambda: torkd_processes(worker),
        "RabbitMQ": cluster.servers.rabbitmq.processes,
    }
    with Memory(groups) as memory:
        job_id = second.submit(flood(MANY_LINES, gate))
        with following(second, job_id) as follower:
            wait_for_lines(cluster, follower, 1)
            gate.open()
    follower.check.end(MANY_LINES)
    stored_lines(cluster.dsn).end(MANY_LINES)
    assert second.wait(job_id)["state"] == "COMPLETED"
    assert all(growth < MOST_GROWTH[name] for name, growth in memory.growth.items()), memory.growth


@pytest.mark.parametrize("victim", ["the coordinator that stores it", "RabbitMQ", "PostgreSQL"])
def test_no_line_is_lost_doubled_or_moved_when_something_is_killed_while_a_task_prints(
    cluster: Cluster, gate: Gate, victim: str
) -> None:
    first = cluster.start_coordinator()
    second = cluster.start_coordinator()
    cluster.start_worker(slots=1)
    job_id = second.submit(flood(SOME_LINES, gate, pause=0.02))
    with following(second, job_id) as follower:
        wait_for_lines(cluster, follower, 1)
        gate.open()
        wait_for_lines(cluster, follower, SOME_LINES // 10)
        if victim == "RabbitMQ":
            cluster.restart_broker()
        elif victim == "PostgreSQL":
            cluster.restart_postgres()
        else:
            cluster.kill(first)
    follower.check.end(SOME_LINES)
    stored_lines(cluster.dsn).end(SOME_LINES)
    assert second.wait(job_id)["state"] == "COMPLETED"


def test_a_log_of_two_runs_has_both_in_order_and_says_where_the_first_may_be_incomplete(
    cluster: Cluster, gate: Gate, tmp_path: Path
) -> None:
    coordinator = cluster.start_coordinator()
    worker = cluster.start_worker(slots=1)
    ticket = tmp_path / "ticket"
    ticket.touch()
    script = f"if rm {ticket}; then echo first run; else echo second run; fi; while [ ! -e {gate.path} ]; do sleep 0.05; done"
    job_id = coordinator.submit({"name": "twice", "tasks": [{"name": "prints", "run": f"{{ {script}; }} 2>&-"}]})
    wait_until(lambda: coordinator.log_text(job_id) == "first run\n", describe=cluster.told)
    cluster.kill(worker)
    gate.open()
    cluster.start_worker(slots=1)
    assert coordinator.wait(job_id)["state"] == "COMPLETED"
    for arguments in (["logs", "-f"], ["logs"]):
        shown = coordinator.torkctl(*arguments, job_id)
        assert shown.stdout.splitlines() == ["first run", "second run"]
        assert shown.stderr.count("the run above did not finish, and the end of its log may be missing") == 1


def test_a_task_that_tells_its_progress_all_the_time_is_not_a_message_each(cluster: Cluster) -> None:
    coordinator = cluster.start_coordinator()
    cluster.start_worker(slots=1)
    script = 'for n in $(seq 1000); do echo "$((n % 100)).$n" > "$TORK_PROGRESS"; done'
    job_id = coordinator.submit({"name": "progress", "tasks": [{"name": "tells", "run": script}]})
    assert coordinator.wait(job_id)["state"] == "COMPLETED"
    queue = cluster.servers.rabbitmq.api("GET", f"queues/{cluster.virtual_host}/progress")
    assert queue.get("message_stats", {}).get("publish", 0) < 20


def wait_for_lines(cluster: Cluster, follower: Follower, count: int) -> None:
    wait_until(lambda: follower.count >= count or follower.error, timeout=60, describe=cluster.told)
