"""torkctl why over RabbitMQ: who takes tasks from a queue, and that the broker is away."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import Cluster
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]


def because(daemon: Daemon, job_id: str) -> str:
    done = daemon.torkctl("why", job_id, "-o", "json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["because"])


def test_a_queue_without_a_worker_and_a_broker_that_is_away_are_told_apart(cluster: Cluster) -> None:
    coordinator = cluster.start_coordinator()
    job_id = coordinator.submit({"name": "lonely", "tasks": [{"name": "train", "queue": "gpu", "run": "true"}]})
    unserved = "no worker takes tasks from queue 'gpu', where task 'train' waits"
    wait_until(lambda: because(coordinator, job_id) == unserved, describe=cluster.told)
    cluster.stop_broker()
    away = "task 'train' waits for queue 'gpu', and the broker can't be reached: "
    wait_until(lambda: because(coordinator, job_id).startswith(away), describe=cluster.told)
    cluster.start_broker()
    wait_until(lambda: because(coordinator, job_id) == unserved, describe=cluster.told)
