"""Two coordinators as processes of their own, in different time zones: each tick is one job, also while they are killed."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.support.cluster import Cluster
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]


def add(coordinator: Daemon, name: str, **schedule: str) -> Any:
    """A scheduled job, as it is told."""
    body = {"name": name, "tasks": [{"name": "one", "run": "true"}], "schedule": schedule}
    sent = {"Content-Type": "application/json"}
    return coordinator.call("POST", "/scheduled-jobs", json.dumps(body).encode(), sent)


def counted(cluster: Cluster, what: str) -> int:
    with psycopg.connect(cluster.dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
    assert row is not None
    return int(row[0])


def test_each_tick_is_one_job_while_coordinators_are_killed_between_and_within_ticks(cluster: Cluster) -> None:
    first = cluster.start_coordinator(processes=2, settings={"TZ": "America/New_York"})
    second = cluster.start_coordinator(settings={"TZ": "Asia/Kathmandu"})
    cluster.start_worker()
    schedules = [add(first, f"every second {number}", cron="@every 1s", catchup="all")["id"] for number in range(5)]
    daily = [add(where, "daily", cron="0 9 * * *")["id"] for where in (first, second)]

    def ticks() -> int:
        return counted(cluster, "schedule_ticks")

    for killed in (first, second):
        seen = ticks()
        wait_until(lambda seen=seen: ticks() > seen + 5, timeout=30, describe=cluster.told)  # type: ignore[misc] # mypy infers no lambda with a default
        cluster.kill(killed)
        seen = ticks()
        wait_until(lambda seen=seen: ticks() > seen + 5, timeout=30, describe=cluster.told)  # type: ignore[misc] # mypy infers no lambda with a default
        killed.start()
    for schedule_id in schedules:
        second.call("PUT", f"/scheduled-jobs/{schedule_id}/pause")
    cluster.wait_for_count(ticks())
    assert counted(cluster, "jobs") == ticks()
    gaps = (
        "(SELECT FROM schedule_ticks GROUP BY schedule_id"
        " HAVING count(*) <> extract(epoch FROM max(tick) - min(tick)) + 1) AS gaps"
    )
    assert counted(cluster, gaps) == 0
    # Whoever took it, and wherever it is read: a schedule keeps the zone that it was taken in.
    zones = [[where.call("GET", f"/scheduled-jobs/{one}")["zone"] for one in daily] for where in (first, second)]
    assert zones == [["America/New_York", "Asia/Kathmandu"]] * 2
