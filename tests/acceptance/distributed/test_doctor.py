"""`torkd doctor` over a cluster: silent while all is well, however busy, and telling of what only the broker knows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import psycopg
import pytest

from tests.support.cluster import TWO_TASKS, Cluster, MakeCluster
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

NO_MANAGEMENT = {"TORK_BROKER_RABBITMQ_MANAGEMENT_URL": "http://127.0.0.1:9"}
GPU = {"name": "for a gpu", "tasks": [{"name": "a", "run": "true", "queue": "gpu"}]}


def doctor(
    cluster: Cluster, *options: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """On the machine of the first coordinator, with its settings."""
    return subprocess.run(
        [sys.executable, "-m", "torkd", "doctor", *options],
        env={**cluster.coordinators[0].environment, **(settings or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wrong(ran: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("WRONG ") for line in ran.stdout.splitlines() if line.startswith("WRONG")]


@pytest.fixture(params=["management", "no management"])
def either(request: pytest.FixtureRequest, make_cluster: MakeCluster) -> Cluster:
    """With a coordinator and a worker; the figures of queues come from the management API, or from the queues themselves."""
    cluster = make_cluster(NO_MANAGEMENT if request.param == "no management" else None)
    cluster.start_coordinator()
    cluster.start_worker(slots=2)
    return cluster


def test_a_busy_cluster_is_well(either: Cluster) -> None:
    jobs = either.submit_all([TWO_TASKS] * 40)
    looks = 0
    while looks < 2 or (either.count("COMPLETED") < len(jobs) and looks < 6):
        ran = doctor(either)
        assert (ran.returncode, wrong(ran), ran.stderr) == (0, [], "")
        looks += 1
    either.wait_for_count(len(jobs))
    assert doctor(either).stdout.count("OK ") == 12


def test_a_worker_without_its_container_engine_is_told(cluster: Cluster) -> None:
    cluster.start_coordinator()
    settings = {
        "TORK_RUNTIME_TYPE": "docker",
        "DOCKER_HOST": "unix:///nowhere/docker.sock",
        "TORK_WORKER_NAME": "ill",
    }
    ill = cluster.start_worker(wait=False, settings=settings)
    cluster.start_worker()
    (coordinator,) = cluster.coordinators
    wait_until(lambda: "DOWN" in [node["status"] for node in coordinator.call("GET", "/nodes")], describe=cluster.told)
    ran = doctor(cluster)
    (line,) = wrong(ran)
    assert ran.returncode == 1
    assert line.startswith("nodes: DOWN, so that no task can run there: ill (")
    assert line.endswith(
        f":{ill.port}) (right would be: look at GET /health and at the log of that node, which says why)"
    )
    asked = coordinator.torkctl("doctor")
    assert (asked.returncode, "WRONG nodes" in " ".join(asked.stdout.split())) == (1, True)


def test_a_queue_without_a_worker_is_told(either: Cluster) -> None:
    either.coordinators[0].submit(GPU)
    ran = doctor(either)
    assert ran.returncode == 1
    assert wrong(ran) == [
        "consumers: no worker reads gpu (1 waiting) (right would be: start a worker with worker.queues = { gpu = 1 })"
    ]
    assert "WRONG" in either.coordinators[0].torkctl("doctor").stdout


def test_what_the_broker_has_lost_is_handed_out_again(either: Cluster) -> None:
    (coordinator,) = either.coordinators
    job_id = coordinator.submit(GPU)
    wait_until(lambda: coordinator.call("GET", "/queues/gpu")["size"] == 1)
    with psycopg.connect(either.dsn, autocommit=True) as connection:
        # Until then it may go out again by itself.
        wait_until(lambda: connection.execute("SELECT FROM outbox").fetchone() is None)
        coordinator.call("DELETE", "/queues/gpu")
        connection.execute("UPDATE tasks SET scheduled_at = scheduled_at - interval '1 hour'")
    would = doctor(either, "--dry-run")
    assert [line.split(":")[0] for line in wrong(would)] == ["hand-outs"], would.stdout
    assert coordinator.call("GET", "/queues/gpu")["size"] == 0
    done = doctor(either, "--fix")
    assert "FIX   hand-outs: repaired" in done.stdout
    either.start_worker(settings={"TORK_WORKER_QUEUES_GPU": "1"})
    assert coordinator.wait(job_id)["state"] == "COMPLETED"


def test_a_dead_letter_is_told_shown_and_removed(either: Cluster) -> None:
    (coordinator,) = either.coordinators
    rabbitmq, exchange = either.servers.rabbitmq, "amq.default"
    message = {
        "routing_key": "completed",
        "payload": "no message of ours",
        "payload_encoding": "string",
        "properties": {},
    }
    rabbitmq.api("POST", f"exchanges/{either.virtual_host}/{exchange}/publish", message)
    wait_until(lambda: coordinator.call("GET", "/queues/dead")["items"])
    assert [line.split(":")[0] for line in wrong(doctor(either))] == ["dead letters"]
    (letter,) = coordinator.call("GET", "/queues/dead")["items"]
    assert (letter["queue"], letter["body"]) == ("completed", "[REDACTED]")
    assert "can't be read" in coordinator.call("GET", f"/queues/dead/{letter['id']}")["reason"]
    coordinator.call("POST", f"/queues/dead/{letter['id']}/replay")
    wait_until(
        lambda: [again["id"] for again in coordinator.call("GET", "/queues/dead")["items"]] not in ([], [letter["id"]])
    )
    assert coordinator.call("DELETE", "/queues/dead") == {"removed": 1}
    assert doctor(either).returncode == 0


def test_a_broker_that_is_away_is_one_line_and_exit_code_1(cluster: Cluster) -> None:
    cluster.start_coordinator()
    ran = doctor(cluster, settings={"TORK_BROKER_RABBITMQ_URL": "amqp://tork:secret@127.0.0.1:9/"})
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1), ran.stderr
    assert "127.0.0.1:9" in ran.stderr
    assert "secret" not in ran.stderr


def test_on_a_machine_of_a_worker_the_machine_is_looked_at(cluster: Cluster) -> None:
    worker = cluster.start_worker()
    ran = subprocess.run(
        [sys.executable, "-m", "torkd", "doctor"],
        env={**worker.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line[:23] for line in ran.stdout.splitlines()] == [
        "-     database: datasto",
        "OK    work directories:",
        "OK    containers: none ",
    ]
